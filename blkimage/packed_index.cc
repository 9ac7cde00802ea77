#include "blkimage/packed_index.h"

#include <algorithm>
#include <array>
#include <cstring>

#include "blkimage/file_bytes.h"

namespace splitring {
namespace {

// The last byte is the format's version.
constexpr std::array<char, 8> kMagic = {'S', 'P', 'L', 'R', 'P', 'K', 'D', 1};
constexpr uint64_t kByteOrder = 0x0102030405060708;

struct SavedHeader {
  std::array<char, 8> magic;
  uint64_t byte_order;  // kByteOrder, as this machine writes it
  ImageIdentity image;
  uint64_t format;
  uint64_t packed_bytes;
  uint64_t unpacked_bytes;
  uint64_t points;
  uint64_t window_bytes;  // of all points
  uint64_t checksum;      // of all, this field being zero
};
static_assert(sizeof(SavedHeader) == 8 * 13, "without gaps");

struct SavedPoint {
  uint64_t unpacked;
  uint64_t packed;
  uint64_t bits;
  uint64_t window_bytes;  // or kNoWindow
};
constexpr uint64_t kNoWindow = UINT64_MAX;  // a frame or a member begins there
static_assert(sizeof(SavedPoint) == 8 * 4, "without gaps");

// Its points keep a window each, thinned out to this many (blkimage/packed_gzip.cc).
constexpr uint64_t kMaxWindowBytes = uint64_t{kMaxGzipPoints} * kGzipWindowBytes;

uint64_t checksum_of(std::vector<std::byte>& bytes) {
  std::memset(bytes.data() + offsetof(SavedHeader, checksum), 0, sizeof(uint64_t));
  return saved_digest(bytes);
}

template <class T>
void append(std::vector<std::byte>& to, const T& value) {
  const auto bytes = std::as_bytes(std::span(&value, 1));
  to.insert(to.end(), bytes.begin(), bytes.end());
}

bool counts_are_sane(const SavedHeader& header) {
  return header.format <= static_cast<uint64_t>(PackedFormat::kGzip) &&
         header.points <= kMaxPackedPoints && header.window_bytes <= kMaxWindowBytes;
}

// Whether reading can begin there, being behind `before`.
bool is_sane(const PackedMap& map, const SavedPoint& point, const PackedPoint* before) {
  const bool is_behind = before == nullptr
                             ? point.unpacked == 0
                             : point.unpacked > before->unpacked && point.packed >= before->packed;
  return is_behind && point.unpacked <= map.unpacked_bytes && point.packed < map.packed_bytes &&
         point.bits < 8 && (point.bits == 0 || point.packed != 0) &&
         (point.window_bytes == kNoWindow || point.window_bytes <= kGzipWindowBytes);
}

// Points and windows, out of bytes that the checksum covers.
Result<> take_points(PackedMap& map, const SavedHeader& header, std::span<const std::byte> bytes) {
  const auto windows = bytes.subspan(header.points * sizeof(SavedPoint));
  uint64_t window_at = 0;
  for (uint64_t i = 0; i < header.points; i++) {
    SavedPoint point;
    std::memcpy(&point, bytes.data() + i * sizeof point, sizeof point);
    const bool has_window = point.window_bytes != kNoWindow;
    if (!is_sane(map, point, map.points.empty() ? nullptr : &map.points.back()) ||
        (has_window && !in_range(window_at, point.window_bytes, windows.size())))
      return fail(Errc::kInvalid, "a restart point that cannot be");
    PackedPoint& taken = map.points.emplace_back();
    taken.unpacked = point.unpacked;
    taken.packed = point.packed;
    taken.bits = static_cast<uint8_t>(point.bits);
    if (!has_window) continue;
    const auto window = windows.subspan(window_at, point.window_bytes);
    taken.window = std::make_shared<const std::vector<std::byte>>(window.begin(), window.end());
    window_at += point.window_bytes;
  }
  if (map.unpacked_bytes != 0 && map.points.empty())
    return fail(Errc::kInvalid, "no restart point");
  return {};
}

Result<std::shared_ptr<const PackedMap>> read_map(const SavedFile& file,
                                                  const ImageIdentity& image) {
  SavedHeader header{};
  TRY_VOID(read_file_bytes(file.file.get(), 0, std::as_writable_bytes(std::span(&header, 1))));
  if (header.magic != kMagic || header.byte_order != kByteOrder)
    return fail(Errc::kInvalid, "no saved restart points of this version and machine");
  if (!counts_are_sane(header) ||
      file.bytes != sizeof header + header.points * sizeof(SavedPoint) + header.window_bytes)
    return fail(Errc::kInvalid, "damaged: of a wrong length");
  std::vector<std::byte> bytes(file.bytes);
  TRY_VOID(read_file_bytes(file.file.get(), 0, bytes));
  // Read twice: what was checked must be what the checksum covers.
  if (std::memcmp(bytes.data(), &header, sizeof header) != 0 ||
      checksum_of(bytes) != header.checksum)
    return fail(Errc::kInvalid, "damaged: a wrong checksum");
  if (header.image != image || header.packed_bytes != image.bytes)
    return fail(Errc::kConflict, "of another image, or of this one before it changed");
  auto map = std::make_shared<PackedMap>();
  map->format = static_cast<PackedFormat>(header.format);
  map->packed_bytes = header.packed_bytes;
  map->unpacked_bytes = header.unpacked_bytes;
  TRY_VOID(take_points(*map, header, std::span(bytes).subspan(sizeof header)));
  return map;
}

}  // namespace

std::string saved_packed_map_path(const std::string& image_path) { return image_path + ".points"; }

Result<> save_packed_map(const std::string& path, const ImageIdentity& image,
                         const PackedMap& map) {
  SavedHeader header{.magic = kMagic,
                     .byte_order = kByteOrder,
                     .image = image,
                     .format = static_cast<uint64_t>(map.format),
                     .packed_bytes = map.packed_bytes,
                     .unpacked_bytes = map.unpacked_bytes,
                     .points = map.points.size(),
                     .window_bytes = 0,
                     .checksum = 0};
  for (const PackedPoint& point : map.points)
    if (point.window) header.window_bytes += point.window->size();
  std::vector<std::byte> bytes;
  append(bytes, header);
  for (const PackedPoint& point : map.points)
    append(bytes, SavedPoint{.unpacked = point.unpacked,
                             .packed = point.packed,
                             .bits = point.bits,
                             .window_bytes = point.window ? point.window->size() : kNoWindow});
  for (const PackedPoint& point : map.points)
    if (point.window) bytes.insert(bytes.end(), point.window->begin(), point.window->end());
  header.checksum = checksum_of(bytes);
  std::memcpy(bytes.data(), &header, sizeof header);
  return replace_saved_file(path, bytes);
}

Result<std::shared_ptr<const PackedMap>> open_saved_packed_map(const std::string& path,
                                                               const ImageIdentity& image,
                                                               const PackedLimits& limits) {
  const SavedFile file = TRY(open_saved_file(path));
  auto map = read_map(file, image);
  if (!map) return fail_within(path, std::move(map).error());
  TRY_VOID(check_runs(**map, limits));
  return map;
}

}  // namespace splitring
