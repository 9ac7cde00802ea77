#include "kv/digest.h"

#include <openssl/evp.h>

#include <cassert>
#include <new>

namespace splitring::kv {

void DigestBuilder::Free::operator()(EVP_MD_CTX* context) const noexcept {
  EVP_MD_CTX_free(context);
}

// SHA-256 is in OpenSSL's default provider: only memory can be missing.
DigestBuilder::DigestBuilder() : context_(EVP_MD_CTX_new()) {
  if (context_ == nullptr || EVP_DigestInit_ex(context_.get(), EVP_sha256(), nullptr) != 1)
    throw std::bad_alloc();
}

void DigestBuilder::add(std::span<const std::byte> bytes) {
  [[maybe_unused]] const int done = EVP_DigestUpdate(context_.get(), bytes.data(), bytes.size());
  assert(done == 1);
}

Digest DigestBuilder::finish() {
  Digest digest;
  unsigned bytes = 0;
  [[maybe_unused]] const int done =
      EVP_DigestFinal_ex(context_.get(), reinterpret_cast<unsigned char*>(digest.data()), &bytes);
  assert(done == 1 && bytes == digest.size());
  return digest;
}

std::string to_hex(const Digest& digest) {
  constexpr std::string_view kDigits = "0123456789abcdef";
  std::string text;
  for (const std::byte byte : digest) {
    text += kDigits[std::to_integer<size_t>(byte >> 4)];
    text += kDigits[std::to_integer<size_t>(byte & std::byte{15})];
  }
  return text;
}

}  // namespace splitring::kv
