// What a person does with the files of a FAT volume, by their paths: what `splitring fat` and its
// shell do.
//
// Paths on the volume start from its root; paths of the host are the host's. One thread, with a
// lane. Errors name the path.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "fs/fat/fat_volume.h"
#include "tools/common/buffer_relay.h"
#include "tools/splitring/fat_marks.h"

namespace splitring::tools {

class FatUser {
 public:
  ~FatUser();
  FatUser(const FatUser&) = delete;
  FatUser& operator=(const FatUser&) = delete;
  struct Tally {
    uint64_t files = 0;
    uint64_t directories = 0;
    uint64_t bytes = 0;
    std::vector<std::string> left_out;  // of the host: links, sockets, devices
  };
  using Progress = std::function<void(uint64_t bytes)>;  // of file data, as it moves

  FatUser(FatVolume& volume, BlockQueue& lane, Progress progress = {});

  Result<FatStat> stat(const std::string& path);
  using Visit = std::function<void(const std::string& path, const FatEntry& entry)>;
  // A directory by name, or a file itself.
  Result<> list(const std::string& path, bool recursive, const Visit& visit);
  // Of all files there.
  Result<uint64_t> bytes_below(const std::string& path);
  // `take` may be called on another thread.
  Result<> read(const std::string& path, const BufferRelay::Target& take);
  // What is known of bytes that come.
  struct Incoming {
    uint64_t bytes = 0;  // how many; 0: nobody knows
    BufferRelay::Beside beside = BufferRelay::Beside::kNothing;
    std::optional<FatTime> modified = {};
    std::optional<FatFlags> flags = {};
  };
  // Makes the file, over an existing one if there is one that is not marked as read-only. What is
  // known not to fit is refused before a byte moves, and leaves an existing one as it is; a new one
  // that cannot be made as a whole goes again.
  Result<> write(const std::string& path, const BufferRelay::Source& source,
                 const Incoming& incoming);
  // A file or a whole directory of the host; into `path` if that is a directory.
  Result<> copy_in(const std::string& host_path, const std::string& path);
  // The other way; an existing file of the host is kept unless `overwrite`.
  Result<> copy_out(const std::string& path, const std::string& host_path, bool overwrite);
  Result<> copy(const std::string& from, const std::string& to);
  Result<> make_directory(const std::string& path, bool with_parents);
  Result<> remove(const std::string& path, bool recursive);
  Result<> move(const std::string& from, const std::string& to);
  Result<> touch(const std::string& path, const FatTime& time);
  // Of the file or directory itself, and with `recursive` of all that lies below.
  Result<> change_marks(const std::string& path, const FatMarkChange& change, bool recursive);

  [[nodiscard]] const Tally& tally() const { return tally_; }

 private:
  // A node with the reference that is given back.
  class Ref;

  Result<Ref> resolve(const std::string& path);
  // Remembered: what is done in one directory comes together.
  Result<FatNode> directory_of(const std::string& path);
  Result<Ref> open(const std::string& path);
  struct Made;
  Result<Made> make(const std::string& path);
  Result<> check_room(const FatStat& existing, uint64_t bytes) const;
  Result<std::string> target_of(const std::string& from_name, const std::string& to);
  Result<> copy_file_in(const std::string& host_path, const std::string& path);
  Result<> copy_file_out(const std::string& path, const std::string& host_path, bool overwrite);
  Result<std::vector<FatEntry>> entries(FatNode directory);
  void moved(size_t bytes);

  FatVolume& volume_;
  BlockQueue& lane_;
  Progress progress_;
  BufferRelay relay_;
  Tally tally_;
  std::string directory_path_;      // of directory_
  std::unique_ptr<Ref> directory_;  // the last one that was asked for; or none
};

// "a/b/c" out of "/a//b/c/"; the last component of it; all before that.
std::string fat_path(std::string_view path);
std::string fat_name_of(std::string_view path);
std::string fat_parent_of(std::string_view path);

}  // namespace splitring::tools
