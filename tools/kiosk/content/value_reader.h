// A value of a store, read piece by piece without blocking: what is in memory is handed out as it
// is, what lies on the disk is read into memory of the lane that the client then gets.
//
// One owner thread, the loop's.
#pragma once

#include <sys/uio.h>

#include <memory>
#include <span>
#include <string>

#include "fs/tar/lane_memory.h"
#include "kv/value.h"
#include "tools/kiosk/content/volume.h"

namespace splitring::kiosk {

class ValueReader {
 public:
  class Client {
   public:
    virtual ~Client() = default;
    // The bytes stay until the next read(), or the reader goes, which may be within this call.
    virtual void on_bytes(std::span<const std::byte> bytes) = 0;
    virtual void on_failure(IoStatus status) = 0;
  };

  ValueReader(std::shared_ptr<Mount> mount, std::unique_ptr<kv::Value> value, Client& client)
      : mount_(std::move(mount)), value_(std::move(value)), client_(client) {}
  // Precondition: no read is under way.
  ~ValueReader() = default;
  ValueReader(const ValueReader&) = delete;
  ValueReader& operator=(const ValueReader&) = delete;

  // Brings at least one byte from `offset` on and `most` at most, by one call of the client, now or
  // later. Precondition: offset < value().size(); most != 0; no read is under way.
  void read(uint64_t offset, uint64_t most);
  [[nodiscard]] const kv::Value& value() const { return *value_; }
  [[nodiscard]] const Mount& mount() const { return *mount_; }

 private:
  struct DiskRead : BlockRequest {
    ValueReader* reader = nullptr;
    iovec buffer{};
    size_t skipped = 0;  // bytes of the first block that were not asked for
    size_t wanted = 0;
  };
  void read_disk(uint64_t offset, uint64_t bytes);
  void read_blocking(uint64_t offset, uint64_t bytes);
  void on_disk_read();

  std::shared_ptr<Mount> mount_;  // before what is given back to its lane
  std::unique_ptr<kv::Value> value_;
  Client& client_;
  DiskRead disk_read_;
  LaneMemory memory_;
  std::string own_;
};

}  // namespace splitring::kiosk
