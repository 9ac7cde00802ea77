#include "fs/tar/packed_image.h"

#include <fcntl.h>
#include <sys/stat.h>

#include <algorithm>
#include <array>
#include <cstring>

#include "blkimage/synchronous_queue.h"

namespace splitring {
namespace {

// The content in pieces, the last ones used kept.
class PackedReader {
 public:
  PackedReader(std::shared_ptr<const PackedMap> map, std::unique_ptr<PackedDecoder> decoder)
      : map_(std::move(map)), decoder_(std::move(decoder)) {}

  // Zeroes beyond the content.
  Result<> read(uint64_t offset, std::span<std::byte> out) {
    while (!out.empty()) {
      if (offset >= map_->unpacked_bytes) {
        std::ranges::fill(out, std::byte{0});
        return {};
      }
      const Piece& piece = *TRY(get(offset / kPieceBytes));
      const uint64_t skipped = offset % kPieceBytes;
      const size_t part = std::min<uint64_t>(out.size(), piece.bytes.size() - skipped);
      std::memcpy(out.data(), piece.bytes.data() + skipped, part);
      out = out.subspan(part);
      offset += part;
    }
    return {};
  }

 private:
  static constexpr size_t kPieceBytes = size_t{128} << 10;
  static constexpr size_t kPieces = 32;
  static constexpr uint64_t kNone = UINT64_MAX;

  struct Piece {
    uint64_t number = kNone;
    uint64_t used = 0;
    std::vector<std::byte> bytes;
  };

  Result<const Piece*> get(uint64_t number) {
    for (Piece& piece : pieces_) {
      if (piece.number != number) continue;
      piece.used = ++clock_;
      return &piece;
    }
    Piece& piece = *std::ranges::min_element(pieces_, {}, &Piece::used);
    piece.number = kNone;
    const uint64_t begin = number * kPieceBytes;
    piece.bytes.resize(std::min<uint64_t>(kPieceBytes, map_->unpacked_bytes - begin));
    if (const auto filled = fill(begin, piece.bytes); !filled) {
      place_ = kNone;  // nobody knows where the decompressor is
      return tl::unexpected<Error>(filled.error());
    }
    piece.number = number;
    piece.used = ++clock_;
    return &piece;
  }

  Result<> fill(uint64_t begin, std::span<std::byte> out) {
    const auto next = std::ranges::upper_bound(map_->points, begin, {}, &PackedPoint::unpacked);
    const auto point = static_cast<size_t>(next - map_->points.begin()) - 1;
    const uint64_t from = map_->points[point].unpacked;
    if (place_ == kNone || place_ > begin || place_ < from) {
      TRY_VOID(decoder_->restart(point));
      place_ = from;
    }
    while (place_ < begin)  // into `out`, to be overwritten
      TRY_VOID(take(out.first(std::min<uint64_t>(out.size(), begin - place_))));
    while (!out.empty()) out = out.subspan(TRY(take(out)));
    return {};
  }

  Result<size_t> take(std::span<std::byte> out) {
    const size_t got = TRY(decoder_->next(out));
    if (got == 0) return fail(Errc::kInvalid, "the content is shorter than was said");
    place_ += got;
    return got;
  }

  const std::shared_ptr<const PackedMap> map_;
  const std::unique_ptr<PackedDecoder> decoder_;
  std::array<Piece, kPieces> pieces_;
  uint64_t clock_ = 0;
  uint64_t place_ = kNone;  // in the content, of what the decompressor gives next
};

class PackedQueue final : public SynchronousQueue {
 public:
  static Result<std::unique_ptr<BlockQueue>> open(DeviceState& state, const QueueOptions& options,
                                                  std::unique_ptr<PackedReader> reader) {
    return std::make_unique<PackedQueue>(state, options, TRY(make_never_readable()),
                                         std::move(reader));
  }
  PackedQueue(DeviceState& state, const QueueOptions& options, UniqueFd never_readable,
              std::unique_ptr<PackedReader> reader)
      : SynchronousQueue(state, options, std::move(never_readable)), reader_(std::move(reader)) {}

 private:
  std::optional<IoStatus> do_step(BlockRequest& request) noexcept override {
    if (request.operation != Operation::kRead) return IoStatus::kOk;  // a flush of nothing
    uint64_t offset = request.first.bytes();
    for (const iovec& part : request.buffers) {
      const std::span<std::byte> out(static_cast<std::byte*>(part.iov_base), part.iov_len);
      if (!reader_->read(offset, out)) return IoStatus::kIoError;
      offset += part.iov_len;
    }
    return IoStatus::kOk;
  }

  const std::unique_ptr<PackedReader> reader_;
};

Geometry geometry_of(const PackedMap& map) {
  Geometry geometry;
  geometry.capacity = Sectors::from_bytes(round_up(map.unpacked_bytes, kSectorSize));
  geometry.read_only = true;
  geometry.needs_flush = false;
  return geometry;
}

DiskSchemes::Factory factory(std::optional<PackedFormat> format) {
  return [format](const DiskUri& uri,
                  const OpenOptions& open) -> Result<std::unique_ptr<BlockDevice>> {
    TRY_VOID(UriOptions(uri).all_taken());
    if (!open.read_only)
      return fail(Errc::kPermission, uri.target + ": a compressed image can only be read");
    return TRY(PackedImage::open(uri.target, format));
  };
}

}  // namespace

Result<std::unique_ptr<PackedImage>> PackedImage::open(const std::string& path,
                                                       std::optional<PackedFormat> format,
                                                       const PackedLimits& limits) {
  UniqueFd file(::open(path.c_str(), O_RDONLY | O_NONBLOCK | O_CLOEXEC));
  struct stat facts {};
  if (!file || ::fstat(file.get(), &facts) != 0) return fail_errno(path, errno);
  if (!S_ISREG(facts.st_mode) && !S_ISBLK(facts.st_mode))
    return fail(Errc::kInvalid, path + ": neither a file nor a block device");
  if (!format) format = TRY(detect_packed_format(file.get()));
  auto map = map_packed_file(std::move(file), *format, limits);
  if (!map) return fail_within(path, std::move(map).error());
  const Geometry geometry = geometry_of(**map);
  return std::unique_ptr<PackedImage>(new PackedImage(geometry, path, std::move(*map)));
}

std::string PackedImage::name() const {
  switch (map_->format) {
    case PackedFormat::kZstd: return "zst:" + path_;
    case PackedFormat::kGzip: return "gz:" + path_;
    case PackedFormat::kStored: break;
  }
  return "archive:" + path_;
}

Result<std::unique_ptr<BlockQueue>> PackedImage::open_queue(const QueueOptions& options) {
  return PackedQueue::open(state(), options,
                           std::make_unique<PackedReader>(map_, TRY(make_packed_decoder(map_))));
}

void add_packed_schemes(DiskSchemes& schemes) {
  schemes.add("zst", "zst:PATH", factory(PackedFormat::kZstd));
  schemes.add("gz", "gz:PATH", factory(PackedFormat::kGzip));
  schemes.add("archive", "archive:PATH", factory({}));
}

}  // namespace splitring
