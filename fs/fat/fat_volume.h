// A FAT12, FAT16, FAT32 or exFAT volume on a disk, mounted: files and directories to read and
// change.
//
// Threads: any, at the same time. Every call that may touch the disk is given a lane of the
// volume's disk that belongs to the calling thread (one lane a thread, as everywhere); I/O of that
// call runs on it, and is over when the call returns. Names, sizes and free space live under one
// lock; bytes of files move outside it, under a lock of the file: readers together, a writer alone.
// Calls on one file are ordered as if one ran after the other.
//
// Nodes: lookup(), create() and make_directory() hand out a node with one reference more; a node is
// valid until forget() has taken all of them. References are cheap and do not keep data: a file
// that is removed keeps its bytes as long as it is open, and a removed node that is still referred
// to can be stat'ed, and closed, and nothing else. The root needs no reference.
//
// Names: UTF-8 without '/' or NUL, 1 to 255 units of UTF-16; none of \ : * ? " < > | or control
// characters; spaces and dots at the end are dropped, as Windows does. Case is kept, and ignored
// when names are compared (by the simple upper case of Unicode's basic plane).
//
// Power cuts: what is changed stands in memory first and goes to the disk in cycles, in an order
// that leaves a valid file system at every moment:
//   1. bytes of files, and directories that nothing refers to yet;
//   2. the FAT's entries of what was allocated;                                            (flush)
//   3. directory entries, each set in one sector where it fits;                            (flush)
//   4. the FAT's entries of what was freed, which nothing reuses before the next flush.    (flush)
// A cut between leaves clusters that belong to nothing, or lie behind a file's end. A rename over
// two sectors leaves, for a moment, both names, marked so that mounting the volume finishes it. The
// next open() finds the dirty bit and puts all that in order, at once or part by part
// (recover_some()). A cycle runs in sync_file(), sync()
// and close(), and by itself when much has gathered. Bytes written over bytes go straight to the
// disk.
//
// What the FAT calls local time is that of the process's time zone when the volume is mounted,
// unless FatOptions says UTC.
//
// Sources: Microsoft, "FAT: General Overview of On-Disk Format", 1.03 (fatgen103), and "Long
// Filename Specification", 0.5.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "blkimage/block_device.h"
#include "fs/fat/fat_types.h"

namespace splitring {

struct FatOptions {
  bool read_only = false;  // nothing is written, not even what a power cut left behind is put right
  bool utc = false;        // times on the disk are UTC, not local time
  bool discard = false;    // tell the disk which clusters are free, once they are
  bool recover_later = false;  // open() leaves most of a recovery to recover_some()
};

class FatVolume {
 public:
  // Mounts what lies on the lane's disk, and recovers it if it was not unmounted. kInvalid: no FAT
  // volume, or one that is damaged where it cannot be read at all; kUnsupported: one that nobody
  // knows.
  static Result<std::unique_ptr<FatVolume>> open(BlockQueue& lane, const FatOptions& options = {});

  // Without close() nothing is lost that was synced; the next open() recovers.
  ~FatVolume();
  FatVolume(const FatVolume&) = delete;
  FatVolume& operator=(const FatVolume&) = delete;

  // Writes everything and marks the volume as clean, unless a recovery is not over: then the next
  // open() begins it again. Nothing can be changed afterwards (kClosed).
  Result<> close(BlockQueue& lane);
  // Some of a recovery, in a bounded time: a directory with the clusters of what it names, or a
  // part of the FAT. False: nothing is left to do. The volume is used meanwhile as ever, and calls
  // of others come first: what one needs that has not been put in order is put in order for it,
  // and no volume is full before it has been. kIo: it cannot be put in order, and nothing can be
  // changed any more.
  Result<bool> recover_some(BlockQueue& lane);
  // What was changed by any thread before this call survives a power cut from now on.
  Result<> sync(BlockQueue& lane);

  [[nodiscard]] bool read_only() const;
  [[nodiscard]] FatVolumeInfo info() const;
  [[nodiscard]] FatSpace space() const;
  // FAT: 4 GiB - 1.
  [[nodiscard]] uint64_t max_file_bytes() const;
  // Empty: none. kInvalid: more than 11 characters of the OEM code page, or illegal ones.
  Result<> set_label(BlockQueue& lane, std::string_view label);
  // What recovery did, once it is over, and damage that was met since (a broken chain, say), a line
  // each; the first ones in full.
  [[nodiscard]] std::vector<std::string> notes() const;

  // ---- names. Errors of all: kNotFound: no such directory node or name; kInvalid: `directory` is
  // a file, or that is no name; kLimit: a name of more than 255 units; kIo: the disk, or damage (a
  // chain that does not end). Of what changes something: kPermission: the volume is read-only;
  // kNoSpace: it is full, or the directory is (FAT12 and FAT16 have a root of fixed size, and no
  // directory more than 65,536 slots).

  // "." and ".." are names too.
  Result<FatStat> lookup(BlockQueue& lane, FatNode directory, std::string_view name);
  // From the root, components between slashes; empty or "/": the root. One reference, on the last.
  Result<FatStat> resolve(BlockQueue& lane, std::string_view path);
  void forget(FatNode node, uint64_t references = 1);

  // kExists.
  Result<FatStat> create(BlockQueue& lane, FatNode directory, std::string_view name,
                         const FatFlags& flags = {.archive = true});
  Result<FatStat> make_directory(BlockQueue& lane, FatNode directory, std::string_view name);
  // kInvalid: it is a directory.
  Result<> remove_file(BlockQueue& lane, FatNode directory, std::string_view name);
  // kInvalid: it is a file, or the root; kBusy: it is not empty.
  Result<> remove_directory(BlockQueue& lane, FatNode directory, std::string_view name);

  enum class Replace : uint8_t { kAllow, kRefuse };
  // Over an existing file or an empty directory, at once: whoever looks finds the old or the new,
  // after a power cut too. Changing only the case of a name works. It is durable when the call
  // returns unless old and new name share a sector; sync() then. kExists: refused, or a file over a
  // directory or the other way round; kBusy: over a directory that is not empty; kInvalid: into
  // itself.
  Result<> rename(BlockQueue& lane, FatNode from_directory, std::string_view from,
                  FatNode to_directory, std::string_view to, Replace replace = Replace::kAllow);

  enum class References : uint8_t { kNone, kTake };
  // At most `most` entries behind `cookie` (0: from the first), in the order of the disk, without
  // "." and "..". Cookies stay good whatever is created, renamed or removed meanwhile: what stays
  // throughout is seen once. With kTake each entry's node is referred to, as if looked up.
  Result<std::vector<FatEntry>> list(BlockQueue& lane, FatNode directory, uint64_t cookie,
                                     size_t most, References references = References::kNone);

  // ---- nodes. kNotFound: no such node.

  Result<FatStat> stat(BlockQueue& lane, FatNode node);
  Result<FatNode> parent(FatNode node);  // of the root: itself; takes no reference
  // kPermission: the volume is read-only, or the node is the root, which has no entry.
  Result<> change(BlockQueue& lane, FatNode node, const FatChange& change);

  // ---- files. Counted: what is open can be read and written after its removal. kInvalid: it is a
  // directory, or not open.

  Result<> open_file(BlockQueue& lane, FatNode node);
  // The last one gives back what was preallocated, and the clusters of a file that was removed.
  Result<> close_file(BlockQueue& lane, FatNode node);

  // Bytes from `offset`: less than asked for at the file's end, 0 beyond it. kIo: also a chain that
  // is shorter than the file's size says.
  Result<size_t> read(BlockQueue& lane, FatNode node, uint64_t offset, std::span<std::byte> out);
  // All of it, or an error: kLimit: beyond max_file_bytes(); kNoSpace. Beyond the end the gap
  // becomes zeroes.
  Result<> write(BlockQueue& lane, FatNode node, uint64_t offset, std::span<const std::byte> in);
  // At the end of the file, wherever that is by then. The offset it went to.
  Result<uint64_t> append(BlockQueue& lane, FatNode node, std::span<const std::byte> in);
  // Makes it shorter, or longer with zeroes. kLimit; kNoSpace.
  Result<> truncate(BlockQueue& lane, FatNode node, uint64_t size);
  // Sets clusters aside (together, if there is such a gap) so that writes up to `size` bytes cannot
  // fail for space; the size stays. Until the last close_file().
  Result<> preallocate(BlockQueue& lane, FatNode node, uint64_t size);
  // The file's bytes, its size and its name are durable; of a directory, its entries.
  Result<> sync_file(BlockQueue& lane, FatNode node);

 private:
  class Impl;
  explicit FatVolume(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace splitring
