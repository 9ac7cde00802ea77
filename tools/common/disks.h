// Every disk that a program of ours can open: the images, what this domain is given, and what is
// compressed on either (blkimage/packed_image.h).
//
//   vbd:xvda               a disk that this domain's store offers, through our frontend
//   vbd:xvda?lanes=4       with so many rings, if the backend allows it
//   vbd:xvda?order=4       rings of 2^order pages each
//
// The host is opened when the first vbd: is: an image needs none.
#pragma once

#include <filesystem>
#include <memory>
#include <string>

#include "base/result.h"
#include "blkimage/block_device.h"
#include "blkimage/disk_uri.h"
#include "xenbus/host.h"

namespace splitring::tools {

// Movable. Must outlive the disks that it opened. One thread.
class Disks {
 public:
  // `virtual_disks`: how many share what the domain may grant, those of other programs counted in.
  // Who opens one that leaves nothing to others says 1.
  explicit Disks(HostOptions host, unsigned virtual_disks = 2);
  Disks(Disks&&) noexcept;
  ~Disks();

  // `lanes`: how many its user would like, where a disk has to be connected with so many. It may
  // get fewer.
  Result<std::unique_ptr<BlockDevice>> open(const std::string& uri, bool read_only,
                                            uint32_t lanes = 1);
  // For a user of so many threads: opens that many lanes, or any number, whatever the disk has; a
  // virtual disk's last one is shared if it has fewer (blkimage/shared_lanes.h).
  Result<std::unique_ptr<BlockDevice>> open_for_threads(const std::string& uri, bool read_only,
                                                        uint32_t lanes);
  // From the next one on.
  void share_grants(unsigned virtual_disks);
  // The same for who may follow a program that has just ended: a disk that is still in use gets two
  // seconds. umount(8) returns before the program that it ends has closed its disk, and the kernel
  // closes what a killed one had open in its own time.
  Result<std::unique_ptr<BlockDevice>> open_when_free(const std::string& uri, bool read_only,
                                                      uint32_t lanes = 1);

 private:
  class LazyHost;
  std::unique_ptr<LazyHost> host_;
  DiskSchemes schemes_;
};

// Whether it is one that this domain's store offers, compressed or not.
bool is_virtual_disk(const std::string& uri);

// The same disk for a process with another working directory: checked for form, its path absolute,
// from `directory` on.
Result<std::string> absolute_disk_uri(const std::string& uri,
                                      const std::filesystem::path& directory = ".");

}  // namespace splitring::tools
