// A file or a block device whose bytes are the disk's bytes. The format is always said, never
// probed: what a guest writes at the start of its disk changes nothing (B36).
//
// Nothing is mapped: an image that shrinks while it is open gives I/O errors, never a signal (I17).
#pragma once

#include <memory>
#include <string>

#include "blkimage/block_device.h"
#include "blkimage/raw_file.h"

namespace splitring {

struct RawOptions {
  enum class Direct : uint8_t {
    kAuto,  // a block device past the page cache, a file through it
    kOn,    // O_DIRECT, or an error if the file does not offer it for this block size
    kOff,
  };

  bool read_only = false;  // the descriptor is O_RDONLY too (B20)
  Direct direct = Direct::kAuto;
  uint32_t logical_block_bytes = 0;  // 512 or 4096; 0: the device's, and 512 for a file
  bool discard = true;               // offer it where file and kernel can
  // flock(): one writer, or any number of readers, among all who lock.
  bool lock = true;
  bool io_uring = true;  // false: plain system calls only
};

class RawImage final : public BlockDevice {
 public:
  // kNotFound, kPermission; kInvalid: neither file nor block device, or the size is not a multiple
  // of the block size; kBusy: locked by another; kUnsupported: no direct I/O here.
  static Result<std::unique_ptr<RawImage>> open(const std::string& path,
                                                const RawOptions& options = {});

  ~RawImage() override;

  [[nodiscard]] std::string name() const override { return "raw:" + path_; }
  // A lane of its own io_uring where that pays, else one of plain system calls: data in memory, or
  // a kernel that refuses io_uring.
  Result<std::unique_ptr<BlockQueue>> open_queue(const QueueOptions& options) override;
  Result<Sectors> refresh_capacity() override;

  [[nodiscard]] bool direct() const { return file_->direct; }

 private:
  RawImage(const Geometry& geometry, std::string path, std::unique_ptr<RawFile> file, bool io_uring)
      : BlockDevice(geometry),
        path_(std::move(path)),
        file_(std::move(file)),
        io_uring_(io_uring) {}

  const std::string path_;
  const std::unique_ptr<RawFile> file_;
  const bool io_uring_;
};

}  // namespace splitring
