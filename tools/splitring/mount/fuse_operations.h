// The kernel's requests, each turned into a call of the tree and answered.
#pragma once

#include <functional>

#include "tools/splitring/mount/mounted_tree.h"

struct fuse_lowlevel_ops;

namespace splitring::tools {

// How far the kernel may read ahead of who reads in sequence.
inline constexpr uint32_t kFuseReadAheadBytes = uint32_t{512} << 10;

// The user data of the session. Outlives it.
struct FuseMount {
  MountedTree& tree;
  const Caching caching;
  std::function<void()> on_ready;  // called once, when the kernel and we have agreed
};

// Run by threads that have a FuseWorker.
const fuse_lowlevel_ops& fuse_operations();

}  // namespace splitring::tools
