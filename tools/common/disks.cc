#include "tools/common/disks.h"

#include <algorithm>
#include <thread>
#include <utility>

#include "blkimage/packed_image.h"
#include "blkimage/shared_lanes.h"
#include "frontend/disk.h"
#include "frontend/granted_pool.h"
#include "tools/common/reach_host.h"
#include "xenbus/device_path.h"

namespace splitring::tools {

// Opened once, at the first need.
class Disks::LazyHost {
 public:
  explicit LazyHost(HostOptions options) : options_(std::move(options)) {}

  Result<Host*> get() {
    if (!host_) host_ = TRY(reach_host(options_));
    return host_.get();
  }

  uint32_t lanes = 1;      // that the disk at hand should have, if its URI does not say
  uint32_t lanes_got = 0;  // of the virtual disk that was opened last
  unsigned virtual_disks = 1;

 private:
  const HostOptions options_;
  std::unique_ptr<Host> host_;
};

namespace {

// How many pages a Linux guest may grant in all by default, rings included
// (drivers/xen/gntalloc.c).
constexpr uint32_t kGrantablePages = 1024;
constexpr uint32_t kMostLanes = 8;  // of ?lanes=

Result<frontend::DiskOptions> frontend_options(const DiskUri& uri, const OpenOptions& open,
                                               uint32_t wanted_lanes, unsigned virtual_disks) {
  UriOptions given(uri);
  frontend::DiskOptions options;
  options.read_only = open.read_only;
  options.lanes = wanted_lanes;
  if (const auto lanes = TRY(given.choose("lanes", {"1", "2", "3", "4", "5", "6", "7", "8"})))
    options.lanes = static_cast<uint32_t>(*lanes + 1);
  if (const auto order = TRY(given.choose("order", {"0", "1", "2", "3", "4"})))
    options.max_ring_page_order = static_cast<uint32_t>(*order);
  const auto pool = TRY(given.number("pool", 64, 65536));
  TRY_VOID(given.all_taken());
  if (pool) {
    options.pool_pages = static_cast<uint32_t>(*pool);
    return options;
  }
  constexpr uint32_t kLeastPool = frontend::GrantedPool::kMinPages;  // of a lane
  const uint32_t ring_pages = 1U << options.max_ring_page_order;
  const uint32_t share =
      std::max(kGrantablePages / std::max(virtual_disks, 1U), kLeastPool + ring_pages);
  options.lanes = std::min(options.lanes, share / (kLeastPool + ring_pages));
  options.pool_pages = std::min(options.pool_pages, share - options.lanes * ring_pages);
  options.least_pool_pages = kLeastPool;
  return options;
}

}  // namespace

Disks::Disks(HostOptions host, unsigned virtual_disks)
    : host_(std::make_unique<LazyHost>(std::move(host))), schemes_(DiskSchemes::images()) {
  schemes_.add(
      "vbd", "vbd:xvda",
      [host = host_.get()](const DiskUri& uri,
                           const OpenOptions& open) -> Result<std::unique_ptr<BlockDevice>> {
        const auto options = TRY(frontend_options(uri, open, host->lanes, host->virtual_disks));
        const uint32_t number = TRY(virtual_device_number(uri.target));
        auto disk = TRY(frontend::Disk::connect(*TRY(host->get()), number, options));
        host->lanes_got = disk->statistics().lanes;
        return disk;
      });
  add_packed_schemes(schemes_);  // upon all of these
  share_grants(virtual_disks);
}

Disks::Disks(Disks&&) noexcept = default;
Disks::~Disks() = default;

Result<std::unique_ptr<BlockDevice>> Disks::open(const std::string& uri, bool read_only,
                                                 uint32_t lanes) {
  host_->lanes = std::clamp(lanes, 1U, kMostLanes);
  return schemes_.open(uri, {.read_only = read_only});
}

Result<std::unique_ptr<BlockDevice>> Disks::open_for_threads(const std::string& uri, bool read_only,
                                                             uint32_t lanes) {
  auto disk = TRY(open_when_free(uri, read_only, lanes));
  if (!is_virtual_disk(uri) || host_->lanes_got >= lanes) return disk;
  return make_lanes_shared(std::move(disk));
}

void Disks::share_grants(unsigned virtual_disks) { host_->virtual_disks = virtual_disks; }

Result<std::unique_ptr<BlockDevice>> Disks::open_when_free(const std::string& uri, bool read_only,
                                                           uint32_t lanes) {
  constexpr int kTries = 40;
  constexpr std::chrono::milliseconds kBetweenTries{50};
  auto disk = open(uri, read_only, lanes);
  for (int tries = 1; !disk && disk.error().code == Errc::kBusy && tries < kTries; tries++) {
    std::this_thread::sleep_for(kBetweenTries);
    disk = open(uri, read_only, lanes);
  }
  return disk;
}

bool is_virtual_disk(const std::string& uri) {
  const auto disk = disk_below_packing(uri);
  return disk && disk->scheme == "vbd";
}

Result<std::string> absolute_disk_uri(const std::string& text,
                                      const std::filesystem::path& directory) {
  const DiskUri disk = TRY(disk_below_packing(text));
  if (disk.scheme != "raw" || disk.target.starts_with('/')) return text;
  std::error_code error;
  const auto here = std::filesystem::absolute(directory.empty() ? "." : directory, error);
  if (error) return fail_errno(text, error.value());
  // What it unpacks may be said by a scheme in front, and partitions and options behind.
  const DiskUri outer = TRY(parse_disk_uri(text));
  const size_t begin =
      outer.scheme.size() + 1 + (outer.target == disk.target ? 0 : disk.scheme.size() + 1);
  return text.substr(0, begin) + (here / disk.target).lexically_normal().string() +
         text.substr(begin + disk.target.size());
}

}  // namespace splitring::tools
