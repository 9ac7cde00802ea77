// What the commands upon an archive share.
#pragma once

#include <memory>
#include <string>

#include "blkimage/block_device.h"
#include "fs/tar/tar_file_system.h"
#include "tools/common/disks.h"
#include "tools/splitring/command.h"

namespace splitring::tools {

// A disk with an archive on it, open.
struct OpenTar {
  Disks disks;
  std::unique_ptr<BlockDevice> disk;
  std::unique_ptr<BlockQueue> lane;
  std::unique_ptr<TarFileSystem> files;
};

struct TarChoice {
  std::string disk;
  bool joined = false;  // read on behind the archive's end
};

// Its warnings go to standard error.
Result<std::unique_ptr<OpenTar>> open_tar(const Session& session, const TarChoice& choice);

void add_disk_option(CLI::App& command, std::string& disk);
void add_joined_option(CLI::App& command, bool& joined);

// Each declares commands below `tar`.
void add_tar_write_commands(CLI::App& tar, Session& session);
void add_tar_read_commands(CLI::App& tar, Session& session);

}  // namespace splitring::tools
