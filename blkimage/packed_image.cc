#include "blkimage/packed_image.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <set>
#include <string_view>

#include "blkimage/packed_index.h"
#include "blkimage/packed_lane.h"

namespace splitring {
namespace {

Geometry geometry_of(const PackedMap& map) {
  Geometry geometry;
  geometry.capacity = Sectors::from_bytes(round_up(map.unpacked_bytes, kSectorSize));
  geometry.read_only = true;
  geometry.needs_flush = false;
  return geometry;
}

std::string_view scheme_of(PackedFormat format) {
  switch (format) {
    case PackedFormat::kZstd: return "zst:";
    case PackedFormat::kGzip: return "gz:";
    case PackedFormat::kStored: break;
  }
  return "archive:";
}

bool is_packed_scheme(std::string_view scheme) {
  return scheme == "zst" || scheme == "gz" || scheme == "archive";
}

// The URI behind a packed scheme; nothing: a path.
std::optional<std::string> uri_below(const DiskUri& packed) {
  static const std::set<std::string_view> kSchemes = {"raw", "mem", "vbd"};
  if (!kSchemes.contains(std::string_view(packed.target).substr(0, packed.target.find(':'))) ||
      packed.target.find(':') == std::string::npos)
    return std::nullopt;
  std::string below = packed.target;
  for (const DiskUri::Option& option : packed.options)
    below.append(below == packed.target ? "?" : "&").append(option.name + "=" + option.value);
  return below;
}

DiskSchemes::Factory factory(std::optional<PackedFormat> format, const DiskSchemes& schemes) {
  return [format, schemes](const DiskUri& uri,
                           const OpenOptions& open) -> Result<std::unique_ptr<BlockDevice>> {
    if (!open.read_only)
      return fail(Errc::kPermission, uri.target + ": a compressed image can only be read");
    if (const auto below = uri_below(uri))
      return TRY(PackedImage::open(TRY(schemes.open(*below, open)), format));
    TRY_VOID(UriOptions(uri).all_taken());
    return TRY(PackedImage::open(uri.target, format));
  };
}

struct OpenFile {
  UniqueFd fd;
  uint64_t bytes = 0;
};

Result<OpenFile> open_file(const std::string& path) {
  OpenFile file{UniqueFd(::open(path.c_str(), O_RDONLY | O_NONBLOCK | O_CLOEXEC))};
  struct stat facts {};
  if (!file.fd || ::fstat(file.fd.get(), &facts) != 0) return fail_errno(path, errno);
  if (!S_ISREG(facts.st_mode) && !S_ISBLK(facts.st_mode))
    return fail(Errc::kInvalid, path + ": neither a file nor a block device");
  const off_t end = ::lseek(file.fd.get(), 0, SEEK_END);
  if (end < 0) return fail_errno(path, errno);
  file.bytes = static_cast<uint64_t>(end);
  return file;
}

Result<std::shared_ptr<const PackedMap>> map_source(PackedSource& source,
                                                    std::optional<PackedFormat> format,
                                                    const PackedLimits& limits) {
  if (!format) format = TRY(detect_packed_format(source));
  return map_packed_file(source, *format, limits);
}

}  // namespace

Result<std::unique_ptr<PackedImage>> PackedImage::open(const std::string& path,
                                                       std::optional<PackedFormat> format,
                                                       const PackedLimits& limits) {
  std::optional<ImageIdentity> identity;
  if (const auto found = identify_image(path)) identity = *found;
  OpenFile file = TRY(open_file(path));
  std::shared_ptr<const PackedMap> map;
  if (identity) {
    const auto saved = open_saved_packed_map(saved_packed_map_path(path), *identity, limits);
    if (saved && (!format || (*saved)->format == *format)) map = *saved;
  }
  if (!map) {
    FileSource source(file.fd.get(), file.bytes);
    auto found = map_source(source, format, limits);
    if (!found) return fail_within(path, std::move(found).error());
    map = std::move(*found);
  }
  std::unique_ptr<PackedImage> image(new PackedImage(geometry_of(*map), path, map));
  image->file_ = std::move(file.fd);
  image->identity_ = identity;
  return image;
}

Result<std::unique_ptr<PackedImage>> PackedImage::open(std::unique_ptr<BlockDevice> below,
                                                       std::optional<PackedFormat> format,
                                                       const PackedLimits& limits) {
  std::shared_ptr<const PackedMap> map;
  {
    const auto lane = TRY(below->open_queue({}));
    LaneSource source(*lane, LaneSource::Waiting::kUntilThere);
    auto found = map_source(source, format, limits);
    if (!found) return fail_within(below->name(), std::move(found).error());
    map = std::move(*found);
  }
  std::unique_ptr<PackedImage> image(new PackedImage(geometry_of(*map), below->name(), map));
  image->below_ = std::move(below);
  return image;
}

std::string PackedImage::name() const { return std::string(scheme_of(map_->format)) + path_; }

Result<std::unique_ptr<BlockQueue>> PackedImage::open_queue(const QueueOptions& options) {
  std::unique_ptr<BlockQueue> lane;
  if (below_) lane = TRY(below_->open_queue(options));
  return open_packed_lane(state(), options, map_, std::move(lane), file_.get());
}

Result<> PackedImage::save_map() const {
  if (!identity_ || !needs_map())
    return fail(Errc::kUnsupported, name() + ": nothing to be saved beside it");
  if (TRY(identify_settled_image(path_)) != *identity_)
    return fail(Errc::kConflict, path_ + ": it has changed since it was opened");
  return save_packed_map(saved_packed_map_path(path_), *identity_, *map_);
}

void add_packed_schemes(DiskSchemes& schemes) {
  const DiskSchemes below = schemes;
  schemes.add("zst", "zst:PATH", factory(PackedFormat::kZstd, below));
  schemes.add("gz", "gz:PATH", factory(PackedFormat::kGzip, below));
  schemes.add("archive", "archive:PATH", factory({}, below));
}

Result<DiskUri> disk_below_packing(std::string_view text) {
  DiskUri uri = TRY(parse_disk_uri(text));
  if (!is_packed_scheme(uri.scheme)) return uri;
  if (const auto below = uri_below(uri)) return parse_disk_uri(*below);
  uri.scheme = "raw";
  return uri;
}

}  // namespace splitring
