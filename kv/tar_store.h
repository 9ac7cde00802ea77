// A tar archive as a store: its files are values, its directories dictionaries.
//
// Links are followed inside the archive and show what they lead to; one that leads nowhere, out of
// the archive or round in circles, a device and a pipe are not there. Nor is a member whose name no
// key spells (".." in it). A value lies on the disk in one piece, a sparse one in several with
// holes between them: locate() says where.
#pragma once

#include "fs/tar/tar_file_system.h"
#include "kv/read_store.h"

namespace splitring::kv {

class TarStore final : public ReadStore {
 public:
  // Both outlive the store; the lane is of the archive's disk and belongs to the store's thread.
  TarStore(const TarFileSystem& tar, BlockQueue& lane) : tar_(tar), lane_(&lane) {}
  // For names, sizes and places only: reading a value is kUnsupported.
  explicit TarStore(const TarFileSystem& tar) : tar_(tar), lane_(nullptr) {}

 private:
  Result<std::optional<Entry>> do_find(const std::string& key) override;
  Result<std::vector<Child>> do_list(const std::string& key) override;
  Result<std::unique_ptr<Value>> do_open(const std::string& key) override;

  const TarFileSystem& tar_;
  BlockQueue* const lane_;
};

}  // namespace splitring::kv
