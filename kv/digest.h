// What a value or dictionary is, in 32 bytes: SHA-256, so that anybody's sha256sum agrees.
#pragma once

#include <openssl/types.h>

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>

namespace splitring::kv {

using Digest = std::array<std::byte, 32>;

class DigestBuilder {
 public:
  DigestBuilder();
  void add(std::span<const std::byte> bytes);
  void add(std::string_view text) { add(std::as_bytes(std::span(text))); }
  // Once, at the end.
  [[nodiscard]] Digest finish();

 private:
  struct Free {
    void operator()(EVP_MD_CTX* context) const noexcept;
  };
  std::unique_ptr<EVP_MD_CTX, Free> context_;
};

// 64 hexadecimal digits.
[[nodiscard]] std::string to_hex(const Digest& digest);

}  // namespace splitring::kv
