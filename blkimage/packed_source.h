// Where compressed bytes come from: a file, of any length, or a lane of any disk.
//
// A file's bytes are waited for. A disk's are not, unless asked to: what is not there yet is
// requested, and the call comes again when something has completed on the lane, so that who decodes
// never holds up a thread that has other things to do.
//
// One thread, the lane's.
#pragma once

#include <sys/uio.h>

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "base/result.h"
#include "blkimage/block_device.h"

namespace splitring {

class PackedSource {
 public:
  virtual ~PackedSource() = default;
  PackedSource(const PackedSource&) = delete;
  PackedSource& operator=(const PackedSource&) = delete;

  // All of `out`, or an error and nothing changed. Precondition: it lies within bytes(), and is at
  // most kMostBytes long. Errors: kBusy: not there yet; those of file or disk.
  virtual Result<> read(uint64_t offset, std::span<std::byte> out) = 0;
  [[nodiscard]] uint64_t bytes() const { return bytes_; }

  static constexpr size_t kMostBytes = size_t{128} << 10;

 protected:
  explicit PackedSource(uint64_t bytes) : bytes_(bytes) {}

 private:
  const uint64_t bytes_;
};

// The descriptor outlives it.
class FileSource final : public PackedSource {
 public:
  FileSource(int fd, uint64_t bytes) : PackedSource(bytes), fd_(fd) {}
  Result<> read(uint64_t offset, std::span<std::byte> out) override;

 private:
  const int fd_;
};

// Reads windows of the disk, the next ones ahead while the reading is sequential. The lane outlives
// it; destroying it waits for what is in flight.
class LaneSource final : public PackedSource {
 public:
  enum class Waiting : uint8_t { kNever, kUntilThere };

  LaneSource(BlockQueue& lane, Waiting waiting)
      : PackedSource(lane.geometry().capacity.bytes()), lane_(lane), waiting_(waiting) {}
  ~LaneSource() override;
  Result<> read(uint64_t offset, std::span<std::byte> out) override;

 private:
  static constexpr size_t kWindowBytes = kMostBytes;  // so two hold any read
  static constexpr size_t kWindows = 4;
  static constexpr uint64_t kNone = UINT64_MAX;

  struct Window : BlockRequest {
    uint64_t number = kNone;  // bytes [number, number + 1) * kWindowBytes of the disk
    uint64_t used = 0;
    bool flying = false;
    std::vector<std::byte> memory;
    iovec buffer{};
  };

  Window* find(uint64_t number);
  bool request(uint64_t number);
  Result<> take(uint64_t offset, std::span<std::byte> out);

  BlockQueue& lane_;
  const Waiting waiting_;
  std::array<Window, kWindows> windows_;
  uint64_t clock_ = 0;
  uint64_t last_ = kNone;  // the window that was read last
};

}  // namespace splitring
