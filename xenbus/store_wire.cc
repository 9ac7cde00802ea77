#include "xenbus/store_wire.h"

extern "C" {
#include <xen/io/xs_wire.h>
}

#include <array>
#include <cassert>
#include <cstring>

namespace splitring {

static_assert(sizeof(xsd_sockmsg) == kStoreHeaderBytes);
static_assert(kStorePayloadMax == XENSTORE_PAYLOAD_MAX);
static_assert(static_cast<uint32_t>(StoreMessage::kIsDomainIntroduced) == XS_IS_DOMAIN_INTRODUCED);
static_assert(static_cast<uint32_t>(StoreMessage::kSetTarget) == XS_SET_TARGET);
static_assert(static_cast<uint32_t>(StoreMessage::kDirectoryPart) == XS_DIRECTORY_PART);

void append_frame(std::string& out, StoreMessage type, uint32_t request_id, uint32_t transaction_id,
                  std::string_view payload) {
  assert(payload.size() <= kStorePayloadMax);
  const xsd_sockmsg header{static_cast<uint32_t>(type), request_id, transaction_id,
                           static_cast<uint32_t>(payload.size())};
  std::array<char, sizeof header> bytes;
  std::memcpy(bytes.data(), &header, sizeof header);
  out.append(bytes.data(), bytes.size());
  out.append(payload);
}

void StoreFrameReader::feed(std::string_view bytes) {
  bytes_.erase(0, taken_);
  taken_ = 0;
  bytes_.append(bytes);
}

StoreResult<std::optional<StoreFrame>> StoreFrameReader::next() {
  const std::string_view rest = std::string_view(bytes_).substr(taken_);
  if (rest.size() < kStoreHeaderBytes) return std::nullopt;
  xsd_sockmsg header;
  std::memcpy(&header, rest.data(), sizeof header);
  if (header.len > kStorePayloadMax) return store_fail(StoreErrc::kTooBig);
  if (rest.size() - kStoreHeaderBytes < header.len) return std::nullopt;
  taken_ += kStoreHeaderBytes + header.len;
  return StoreFrame{StoreMessage{header.type}, header.req_id, header.tx_id,
                    std::string(rest.substr(kStoreHeaderBytes, header.len))};
}

StoreResult<std::vector<std::string_view>> split_strings(std::string_view payload) {
  if (payload.empty() || payload.back() != '\0') return store_fail(StoreErrc::kInvalid);
  std::vector<std::string_view> strings;
  while (!payload.empty()) {
    const size_t end = payload.find('\0');
    strings.push_back(payload.substr(0, end));
    payload.remove_prefix(end + 1);
  }
  return strings;
}

StoreResult<std::string_view> only_string(std::string_view payload) {
  const auto strings = TRY(split_strings(payload));
  if (strings.size() != 1) return store_fail(StoreErrc::kInvalid);
  return strings.front();
}

}  // namespace splitring
