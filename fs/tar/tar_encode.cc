#include "fs/tar/tar_encode.h"

#include <algorithm>
#include <array>
#include <cstdio>
#include <cstring>
#include <optional>

#include "base/units.h"
#include "fs/tar/tar_header.h"
#include "fs/tar/tar_index.h"

namespace splitring {
namespace {

// What fits octal digits and a terminator.
constexpr uint64_t kMostOctal7 = 07777777;
constexpr uint64_t kMostOctal11 = 077777777777;
// POSIX would have the process id between; reproducible archives would not.
constexpr std::string_view kPaxName = "PaxHeaders/";
constexpr std::string_view kSparseName = "GNUSparseFile.0/";

template <size_t N>
void put_text(std::array<char, N>& field, std::string_view text) {
  std::copy_n(text.begin(), std::min(N, text.size()), field.begin());
}

template <size_t N>
void put_octal(std::array<char, N>& field, uint64_t value) {
  for (size_t i = N - 1; i-- > 0; value >>= 3) field[i] = static_cast<char>('0' + (value & 7));
}

char type_of(TarKind kind) {
  switch (kind) {
    case TarKind::kDirectory: return '5';
    case TarKind::kSymlink: return '2';
    case TarKind::kHardLink: return '1';
    default: return '0';
  }
}

// "LENGTH KEY=VALUE\n"; the length counts its own digits.
void add_record(std::string& records, std::string_view key, std::string_view value) {
  const size_t rest = 1 + key.size() + 1 + value.size() + 1;
  size_t length = rest;
  while (length != rest + std::to_string(length).size())
    length = rest + std::to_string(length).size();
  records.append(std::to_string(length)).append(" ").append(key).append("=");
  records.append(value).append("\n");
}

void pad(std::string& blocks) { blocks.resize(round_up(blocks.size(), kTarBlockBytes), '\0'); }

void append_header(std::string& blocks, TarWireHeader& header) {
  put_text(header.magic, std::string_view("ustar\00000", 8));
  header.checksum.fill(' ');
  unsigned sum = 0;
  std::array<char, kTarBlockBytes> bytes;
  std::memcpy(bytes.data(), &header, sizeof header);
  for (const char c : bytes) sum += static_cast<unsigned char>(c);
  std::snprintf(header.checksum.data(), header.checksum.size(), "%06o", sum);
  blocks.append(reinterpret_cast<const char*>(&header), sizeof header);
}

// The name in one field or two. False: it does not fit.
bool put_path(TarWireHeader& header, std::string_view path) {
  if (path.size() <= header.name.size()) {
    put_text(header.name, path);
    return true;
  }
  // The leftmost slash that leaves a name short enough; the directory's own at the end is none.
  const size_t least = path.size() - header.name.size() - 1;
  const size_t slash = path.find('/', least);
  if (slash == std::string_view::npos || slash == 0 || slash + 1 >= path.size() ||
      slash > header.prefix.size())
    return false;
  put_text(header.prefix, path.substr(0, slash));
  put_text(header.name, path.substr(slash + 1));
  return true;
}

std::string_view last_component(std::string_view path) {
  while (path.ends_with('/')) path.remove_suffix(1);
  return path.substr(path.rfind('/') + 1);
}

// "COUNT\nFIRST\nBYTES\n...", padded to a block. A hole at the end is closed by an extent of no
// bytes: GNU tar makes the file no longer than its last extent.
std::string sparse_map(const TarMember& member) {
  auto map = member.data;
  const uint64_t end = map.empty() ? 0 : map.back().first + map.back().second;
  if (end != member.size) map.emplace_back(member.size, 0);
  std::string text = std::to_string(map.size()) + "\n";
  for (const auto& [first, bytes] : map)
    text.append(std::to_string(first)).append("\n").append(std::to_string(bytes)).append("\n");
  pad(text);
  return text;
}

// Fills in what fits and returns records for what does not.
std::string fill_header(const TarMember& member, std::string_view path, uint64_t body_bytes,
                        TarWireHeader& header) {
  std::string records;
  const auto put_or_record = [&](auto& field, uint64_t most, std::string_view key, uint64_t value) {
    put_octal(field, value <= most ? value : 0);
    if (value > most) add_record(records, key, std::to_string(value));
  };
  if (member.sparse) {
    add_record(records, "GNU.sparse.major", "1");
    add_record(records, "GNU.sparse.minor", "0");
    add_record(records, "GNU.sparse.name", path);
    add_record(records, "GNU.sparse.realsize", std::to_string(member.size));
    put_text(header.name, std::string(kSparseName).append(last_component(path)));
  } else if (!put_path(header, path)) {
    add_record(records, "path", path);
    put_text(header.name, last_component(path));
  }
  if (member.link.size() > header.link_name.size()) add_record(records, "linkpath", member.link);
  put_text(header.link_name, member.link);
  put_octal(header.mode, member.mode & 07777);
  put_or_record(header.uid, kMostOctal7, "uid", member.uid);
  put_or_record(header.gid, kMostOctal7, "gid", member.gid);
  put_or_record(header.size, kMostOctal11, "size", body_bytes);
  if (member.mtime_s < 0) {
    put_octal(header.mtime, 0);
    add_record(records, "mtime", std::to_string(member.mtime_s));
  } else {
    put_or_record(header.mtime, kMostOctal11, "mtime", static_cast<uint64_t>(member.mtime_s));
  }
  put_text(header.user_name, member.user.substr(0, header.user_name.size() - 1));
  put_text(header.group_name, member.group.substr(0, header.group_name.size() - 1));
  put_octal(header.device_major, 0);
  put_octal(header.device_minor, 0);
  header.type = type_of(member.kind);
  return records;
}

void append_pax_header(std::string& blocks, std::string_view path, std::string_view records) {
  TarWireHeader header{};
  put_text(header.name, std::string(kPaxName).append(last_component(path)));
  put_octal(header.mode, 0644);
  put_octal(header.uid, 0);
  put_octal(header.gid, 0);
  put_octal(header.size, records.size());
  put_octal(header.mtime, 0);
  header.type = 'x';
  append_header(blocks, header);
  blocks.append(records);
  pad(blocks);
}

}  // namespace

uint64_t TarMember::stored_bytes() const {
  if (kind != TarKind::kFile) return 0;
  if (!sparse) return size;
  uint64_t stored = 0;
  for (const auto& part : data) stored += part.second;
  return stored;
}

Result<std::string> encode_tar_headers(const TarMember& member) {
  if (member.path.empty()) return fail(Errc::kInvalid, "a member without a name");
  if (member.path.size() >= kMaxTarPathBytes || member.link.size() > kMaxTarPathBytes)
    return fail(Errc::kInvalid, "a name or target too long for an archive");
  std::string path = member.path;
  if (member.kind == TarKind::kDirectory && !path.ends_with('/')) path += '/';
  const std::string map = member.sparse ? sparse_map(member) : std::string();
  TarWireHeader header{};
  const std::string records = fill_header(member, path, map.size() + member.stored_bytes(), header);
  std::string blocks;
  if (!records.empty()) append_pax_header(blocks, path, records);
  append_header(blocks, header);
  blocks += map;
  return blocks;
}

}  // namespace splitring
