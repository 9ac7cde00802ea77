// Which file system a disk holds, and that file system, open.
#pragma once

#include <memory>
#include <optional>
#include <string>

#include "base/result.h"
#include "blkimage/block_device.h"
#include "tools/common/disks.h"
#include "tools/splitring/mount/complaints.h"
#include "tools/splitring/mount/mount_options.h"
#include "tools/splitring/mount/mounted_tree.h"

namespace splitring::tools {

enum class TreeKind : uint8_t { kTar, kFat };

// In the order in which they are opened.
struct OpenTree {
  std::unique_ptr<BlockDevice> disk;
  std::unique_ptr<BlockQueue> lane;  // the calling thread's
  std::unique_ptr<MountedTree> tree;
};

// `kind`: what the disk holds; looked up on it if nothing. Errors: kInvalid: it holds neither;
// those of the disk and of the file system. `disks` and `complaints` outlive what is opened.
Result<OpenTree> open_tree(Disks& disks, const std::string& uri, std::optional<TreeKind> kind,
                           const MountOptions& options, Complaints& complaints);

}  // namespace splitring::tools
