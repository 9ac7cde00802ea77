// The frames of the store's wire protocol: a header of four native-endian 32-bit words (type,
// request id, transaction id, payload length), then the payload, at most 4096 bytes. Pure.
//
// Source: Xen's docs/misc/xenstore.txt and public/io/xs_wire.h (4.17).
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "xenbus/store_error.h"

namespace splitring {

inline constexpr size_t kStoreHeaderBytes = 16;   // sizeof(struct xsd_sockmsg)
inline constexpr size_t kStorePayloadMax = 4096;  // xs_wire.h: XENSTORE_PAYLOAD_MAX

enum class StoreMessage : uint32_t {
  kControl = 0,
  kDirectory = 1,
  kRead = 2,
  kGetPermissions = 3,
  kWatch = 4,
  kUnwatch = 5,
  kTransactionStart = 6,
  kTransactionEnd = 7,
  kIntroduce = 8,
  kRelease = 9,
  kGetDomainPath = 10,
  kWrite = 11,
  kMakeDirectory = 12,
  kRemove = 13,
  kSetPermissions = 14,
  kWatchEvent = 15,
  kError = 16,
  kIsDomainIntroduced = 17,
  kResume = 18,
  kSetTarget = 19,
  kResetWatches = 21,
  kDirectoryPart = 22,
};

struct StoreFrame {
  StoreMessage type;
  uint32_t request_id;
  uint32_t transaction_id;
  std::string payload;
};

// Precondition: the payload is at most kStorePayloadMax.
void append_frame(std::string& out, StoreMessage type, uint32_t request_id, uint32_t transaction_id,
                  std::string_view payload);

// Cuts a stream of bytes into frames. Holds at most what was fed and not yet taken.
class StoreFrameReader {
 public:
  void feed(std::string_view bytes);
  // The next whole frame; nullopt: more bytes are needed. Error: kTooBig if a header announces more
  // than kStorePayloadMax; nothing after that can be understood (X1).
  StoreResult<std::optional<StoreFrame>> next();

 private:
  std::string bytes_;
  size_t taken_ = 0;  // of bytes_
};

// "a\0b\0" -> {"a", "b"}. Error: kInvalid if the last is not terminated. Views into `payload`.
[[nodiscard]] StoreResult<std::vector<std::string_view>> split_strings(std::string_view payload);
// The payload is exactly one terminated string.
[[nodiscard]] StoreResult<std::string_view> only_string(std::string_view payload);

}  // namespace splitring
