#include "kv/tree/payload.h"

namespace splitring::kv {
namespace {

void append_be64(std::string& out, uint64_t value) {
  append_be32(out, static_cast<uint32_t>(value >> 32));
  append_be32(out, static_cast<uint32_t>(value));
}

uint64_t load_be64(std::string_view from) {
  return uint64_t{load_be32(from)} << 32 | load_be32(from.substr(4));
}

template <class T>
void append_le(std::string& out, T value) {
  char bytes[sizeof value];
  std::memcpy(bytes, &value, sizeof value);
  out.append(bytes, sizeof bytes);
}

}  // namespace

std::optional<Payload> Payload::parse(Bytes bytes) {
  if (bytes.empty() || bytes.size() > kMaxPayloadBytes) return std::nullopt;
  const auto flags = std::to_integer<uint8_t>(bytes[0]);
  if ((flags & ~(kHasTime | kElsewhere)) != 0) return std::nullopt;
  bytes = bytes.subspan(1);
  Payload payload;
  if ((flags & kHasTime) != 0) {
    if (bytes.size() < 8) return std::nullopt;
    payload.modified_s = load_le<int64_t>(bytes.data());
    bytes = bytes.subspan(8);
  }
  payload.elsewhere = (flags & kElsewhere) != 0;
  if (!payload.elsewhere) {
    payload.length = bytes.size();
    payload.inline_bytes = bytes;
    return payload;
  }
  if (bytes.size() != 24) return std::nullopt;
  payload.number = load_le<uint64_t>(bytes.data());
  payload.length = load_le<uint64_t>(bytes.data() + 8);
  payload.changed = load_le<uint64_t>(bytes.data() + 16);
  return payload;
}

void Payload::append_to(std::string& out) const {
  out += static_cast<char>((modified_s ? kHasTime : 0) | (elsewhere ? kElsewhere : 0));
  if (modified_s) append_le(out, *modified_s);
  if (elsewhere) {
    append_le(out, number);
    append_le(out, length);
    append_le(out, changed);
  } else {
    out += text_of(inline_bytes);
  }
}

std::optional<uint64_t> number_elsewhere(Bytes payload) {
  if (payload.empty() || (std::to_integer<uint8_t>(payload[0]) & kElsewhere) == 0)
    return std::nullopt;
  const auto parsed = Payload::parse(payload);
  if (!parsed) return std::nullopt;
  return parsed->number;
}

std::optional<Segment> Segment::parse(Bytes bytes, uint64_t pages) {
  if (bytes.size() != sizeof(DiskSegment)) return std::nullopt;
  DiskSegment disk;
  std::memcpy(&disk, bytes.data(), sizeof disk);
  const Segment segment{.page = disk.page,
                        .birth = disk.birth,
                        .bytes = disk.bytes,
                        .hash = {disk.hash_low, disk.hash_high}};
  if (segment.bytes == 0 || segment.bytes > kSegmentBytes || segment.page == 0 ||
      !in_range(segment.page, segment.pages(), pages))
    return std::nullopt;
  return segment;
}

void Segment::append_to(std::string& out) const {
  DiskSegment disk;
  disk.page = page;
  disk.birth = birth;
  disk.bytes = bytes;
  disk.hash_low = hash.low;
  disk.hash_high = hash.high;
  out.append(reinterpret_cast<const char*>(&disk), sizeof disk);
}

std::string segment_key(uint64_t number, uint64_t offset) {
  std::string key;
  key.reserve(kSegmentKeyBytes);
  append_be64(key, number);
  append_be64(key, offset);
  return key;
}

uint64_t number_of_segment_key(std::string_view key) { return load_be64(key); }
uint64_t offset_of_segment_key(std::string_view key) { return load_be64(key.substr(8)); }

}  // namespace splitring::kv
