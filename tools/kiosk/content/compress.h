// Compression of what is worth it, once, for answers that are kept: a slice at a time, so that the
// thread that does it has turns for its other clients in between. Pure.
#pragma once

#include <cstddef>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "tools/kiosk/content/representation.h"

namespace splitring::kiosk {

// Below it a packet is a packet; above it the first client would notice.
inline constexpr size_t kLeastCompressed = 512;
inline constexpr size_t kMostCompressed = size_t{256} << 10;
// A slice: well below a millisecond.
inline constexpr size_t kCompressedAtOnce = size_t{32} << 10;

// Text, of which half is saved; pictures, archives and films are compressed already.
[[nodiscard]] bool is_compressible(std::string_view content_type);

// The first coding of the choice that we can make: kIdentity if there is none.
[[nodiscard]] Coding coding_to_make(const CodingChoice& choice);

class Compression {
 public:
  virtual ~Compression() = default;
  Compression(const Compression&) = delete;
  Compression& operator=(const Compression&) = delete;

  // Null: a coding that we cannot make, or no memory for it.
  static std::unique_ptr<Compression> begin(Coding coding, std::string bytes);

  // Takes kCompressedAtOnce bytes more, at most. True: that was the last of them.
  [[nodiscard]] bool step();
  [[nodiscard]] std::span<const std::byte> original() const {
    return std::as_bytes(std::span(bytes_));
  }
  // Once step() has said true. Nothing: it does not pay (less than a tenth saved).
  [[nodiscard]] const std::string* smaller() const;

 protected:
  explicit Compression(std::string bytes) : bytes_(std::move(bytes)) {}

 private:
  // Appends to `out` what the slice makes. False: it cannot go on.
  virtual bool add(std::span<const std::byte> slice, bool is_last, std::string& out) = 0;

  const std::string bytes_;
  size_t taken_ = 0;
  std::string out_;
  bool failed_ = false;
};

}  // namespace splitring::kiosk
