#include "blkimage/power_cut_disk.h"

#include <algorithm>
#include <cassert>
#include <cstring>
#include <random>

#include "blkimage/synchronous_queue.h"

namespace splitring {
namespace {

void overwrite(std::vector<std::byte>& image, const PowerCutDisk::Event& event) {
  std::ranges::copy(event.bytes, image.begin() + static_cast<std::ptrdiff_t>(event.first.bytes()));
}

}  // namespace

class PowerCutDisk::Queue final : public SynchronousQueue {
 public:
  static Result<std::unique_ptr<BlockQueue>> create(PowerCutDisk& disk,
                                                    const QueueOptions& options) {
    UniqueFd never = TRY(make_never_readable());
    return std::unique_ptr<BlockQueue>(new Queue(disk, options, std::move(never)));
  }

 private:
  Queue(PowerCutDisk& disk, const QueueOptions& options, UniqueFd never_readable)
      : SynchronousQueue(disk.state(), options, std::move(never_readable)), disk_(disk) {}

  // What a flush covers is decided when it is submitted.
  void queued(BlockRequest& request) noexcept override {
    const std::lock_guard lock(disk_.mutex_);
    request.scratch[0] = disk_.history_.size();
  }

  std::optional<IoStatus> do_step(BlockRequest& request) noexcept override {
    const std::lock_guard lock(disk_.mutex_);
    if (request.operation == Operation::kRead) {
      read(request);
    } else if (request.operation == Operation::kFlush) {
      disk_.record({.is_flush = true, .first = {}, .bytes = {}, .covers = request.scratch[0]});
    } else {
      disk_.record({.first = request.first, .bytes = new_bytes(request)});
    }
    return IoStatus::kOk;
  }

  void read(const BlockRequest& request) const noexcept {
    const std::byte* from = disk_.current_.data() + request.first.bytes();
    for (const iovec& buffer : request.buffers) {
      if (buffer.iov_len == 0) continue;
      std::memcpy(buffer.iov_base, from, buffer.iov_len);
      from += buffer.iov_len;
    }
  }

  // Zeroes for a discard or write-zeroes.
  static std::vector<std::byte> new_bytes(const BlockRequest& request) {
    std::vector<std::byte> bytes;
    bytes.reserve(request.byte_count);
    if (request.operation == Operation::kWrite) {
      for (const iovec& buffer : request.buffers) {
        const auto* from = static_cast<const std::byte*>(buffer.iov_base);
        bytes.insert(bytes.end(), from, from + buffer.iov_len);
      }
    }
    bytes.resize(request.byte_count);
    return bytes;
  }

  PowerCutDisk& disk_;
};

Result<std::unique_ptr<PowerCutDisk>> PowerCutDisk::create(std::vector<std::byte> image,
                                                           uint32_t logical_block_bytes) {
  if (logical_block_bytes != 512 && logical_block_bytes != 4096)
    return fail(Errc::kInvalid, "power-cut disk: the block size is 512 or 4096 bytes");
  if (image.empty() || image.size() % logical_block_bytes != 0)
    return fail(Errc::kInvalid, "power-cut disk: the image is not a whole number of blocks");
  const Geometry geometry{.capacity = Sectors::from_bytes(image.size()),
                          .logical_block_bytes = logical_block_bytes,
                          .physical_block_bytes = logical_block_bytes,
                          .discard_granularity_bytes = logical_block_bytes};
  return std::unique_ptr<PowerCutDisk>(new PowerCutDisk(geometry, std::move(image)));
}

Result<std::unique_ptr<BlockQueue>> PowerCutDisk::open_queue(const QueueOptions& options) {
  return Queue::create(*this, options);
}

void PowerCutDisk::record(Event event) {
  if (!event.is_flush) overwrite(current_, event);
  history_.push_back(std::move(event));
}

size_t PowerCutDisk::events() const {
  const std::lock_guard lock(mutex_);
  return history_.size();
}

PowerCutDisk::Event PowerCutDisk::event(size_t index) const {
  const std::lock_guard lock(mutex_);
  return history_.at(index);
}

size_t PowerCutDisk::durable_events(size_t moment) const {
  assert(moment <= history_.size());
  size_t durable = 0;
  for (size_t i = 0; i < moment; i++)
    if (history_[i].is_flush) durable = std::max(durable, history_[i].covers);
  return durable;
}

std::vector<size_t> PowerCutDisk::at_risk_locked(size_t moment) const {
  std::vector<size_t> indices;
  for (size_t i = durable_events(moment); i < moment; i++)
    if (!history_[i].is_flush) indices.push_back(i);
  return indices;
}

std::vector<size_t> PowerCutDisk::at_risk(size_t moment) const {
  const std::lock_guard lock(mutex_);
  return at_risk_locked(moment);
}

std::vector<std::byte> PowerCutDisk::durable_image(size_t moment) const {
  std::vector<std::byte> image = original_;
  const size_t durable = durable_events(moment);
  for (size_t i = 0; i < durable; i++)
    if (!history_[i].is_flush) overwrite(image, history_[i]);
  return image;
}

std::vector<std::byte> PowerCutDisk::image_keeping_all(size_t moment) const {
  return image_keeping(moment, at_risk(moment));
}

std::vector<std::byte> PowerCutDisk::image_keeping(size_t moment,
                                                   std::span<const size_t> survivors) const {
  const std::lock_guard lock(mutex_);
  std::vector<std::byte> image = durable_image(moment);
  for (const size_t index : survivors) {
    assert(index >= durable_events(moment) && index < moment && !history_[index].is_flush);
    overwrite(image, history_[index]);
  }
  return image;
}

std::vector<std::byte> PowerCutDisk::image_torn(size_t moment, uint64_t seed) const {
  const std::lock_guard lock(mutex_);
  std::mt19937_64 random(seed);
  std::vector<size_t> order = at_risk_locked(moment);
  std::ranges::shuffle(order, random);
  std::vector<std::byte> image = durable_image(moment);
  for (const size_t index : order) {
    const Event& event = history_[index];
    for (size_t offset = 0; offset < event.bytes.size(); offset += kSectorSize) {
      if (random() % 2 == 0) continue;
      const auto sector = std::span(event.bytes).subspan(offset, kSectorSize);
      std::ranges::copy(sector,
                        image.begin() + static_cast<std::ptrdiff_t>(event.first.bytes() + offset));
    }
  }
  return image;
}

}  // namespace splitring
