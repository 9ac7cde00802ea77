#include "tests/support/fs/tar_builder.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cstdio>
#include <cstring>

namespace splitring::test {
namespace {

template <size_t N>
void put(std::array<char, N>& field, std::string_view text) {
  std::copy_n(text.begin(), std::min(N, text.size()), field.begin());
}

template <size_t N>
void put_octal(std::array<char, N>& field, uint64_t value) {
  for (size_t i = N - 1; i-- > 0; value >>= 3)
    field[i] = static_cast<char>('0' + static_cast<int>(value & 7));
}

}  // namespace

TarBuilder& TarBuilder::member(std::string_view name, std::string_view body, char type,
                               std::string_view link, const Edit& edit) {
  TarWireHeader header{};
  put(header.name, name);
  put(header.link_name, link);
  put_octal(header.mode, 0644);
  put_octal(header.size, body.size());
  put_octal(header.mtime, 1'000'000'000);
  put(header.magic, std::string_view("ustar\00000", 8));
  header.type = type;
  if (edit) edit(header);
  header.checksum.fill(' ');
  unsigned sum = 0;
  const auto* bytes = reinterpret_cast<const unsigned char*>(&header);
  for (size_t i = 0; i < sizeof header; i++) sum += bytes[i];
  put_octal(header.checksum, sum);
  header.checksum.back() = '\0';
  bytes_.append(reinterpret_cast<const char*>(&header), sizeof header);
  return raw(body);
}

TarBuilder& TarBuilder::zero_blocks(size_t count) {
  bytes_.append(count * kTarBlockBytes, '\0');
  return *this;
}

TarBuilder& TarBuilder::raw(std::string_view bytes) {
  bytes_.append(bytes);
  bytes_.resize(round_up(bytes_.size(), kTarBlockBytes), '\0');
  return *this;
}

std::string TarBuilder::record(std::string_view key, std::string_view value) {
  const std::string rest = " " + std::string(key) + "=" + std::string(value) + "\n";
  size_t length = rest.size();
  while (length != rest.size() + std::to_string(length).size())
    length = rest.size() + std::to_string(length).size();
  return std::to_string(length) + rest;
}

std::string OpenTar::contents(std::string_view path) const {
  const auto entry = tar->find(path);
  if (!entry || entry->kind != TarKind::kFile) return "<none>";
  std::string text(entry->size, '\0');
  const auto got = tar->read(*lane, *entry, 0, std::as_writable_bytes(std::span(text)));
  return got && *got == text.size() ? text : "<error>";
}

bool OpenTar::warns_of(std::string_view text) const {
  return std::any_of(tar->warnings().begin(), tar->warnings().end(),
                     [&](const std::string& w) { return w.find(text) != std::string::npos; });
}

OpenTar open_tar(std::string bytes, uint32_t block_bytes, const TarLimits& limits) {
  OpenTar open;
  open.disk = std::make_unique<TestDisk>(std::move(bytes), block_bytes);
  open.lane = std::move(*open.disk->open_queue({}));
  auto tar = TarFileSystem::open(*open.lane, limits);
  EXPECT_TRUE(tar) << tar.error().what;
  if (tar) open.tar = std::move(*tar);
  return open;
}

}  // namespace splitring::test
