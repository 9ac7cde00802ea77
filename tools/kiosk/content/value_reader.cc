#include "tools/kiosk/content/value_reader.h"

#include <algorithm>
#include <array>

#include "base/units.h"

namespace splitring::kiosk {
namespace {

constexpr std::array<std::byte, size_t{64} << 10> kZeroes{};

}  // namespace

void ValueReader::read(uint64_t offset, uint64_t most) {
  most = std::min(most, value_->size() - offset);
  const kv::Piece piece = value_->locate(offset);
  if (const auto* const memory = std::get_if<kv::InMemory>(&piece))
    return client_.on_bytes(memory->bytes.first(std::min<uint64_t>(most, memory->bytes.size())));
  if (const auto* const hole = std::get_if<kv::Zeroes>(&piece))
    return client_.on_bytes(
        std::span(kZeroes).first(std::min({most, hole->bytes, uint64_t{kZeroes.size()}})));
  const auto* const run = std::get_if<kv::OnDisk>(&piece);
  if (run != nullptr && mount_->reader() != nullptr)
    return read_disk(run->offset, std::min(most, run->bytes));
  read_blocking(offset, most);
}

void ValueReader::read_disk(uint64_t offset, uint64_t bytes) {
  LaneReader& lane = *mount_->reader();
  const uint64_t block = lane.lane().geometry().logical_block_bytes;
  disk_read_.skipped = offset % block;
  disk_read_.wanted = bytes;
  const uint64_t size = round_up(disk_read_.skipped + bytes, block);
  if (memory_.bytes().size() < size) {
    memory_ = {};  // first: the new one may need its place
    auto memory = LaneMemory::allocate(lane.lane(), size);
    if (!memory) return client_.on_failure(IoStatus::kNoSpace);
    memory_ = std::move(*memory);
  }
  disk_read_.operation = Operation::kRead;
  disk_read_.first = Sectors::from_bytes(offset - disk_read_.skipped);
  disk_read_.buffer = {memory_.bytes().data(), size};
  disk_read_.buffers = std::span(&disk_read_.buffer, 1);
  disk_read_.reader = this;
  disk_read_.complete = [](BlockRequest& request) noexcept {
    static_cast<DiskRead&>(request).reader->on_disk_read();
  };
  lane.start(disk_read_);
}

void ValueReader::on_disk_read() {
  if (disk_read_.status != IoStatus::kOk) return client_.on_failure(disk_read_.status);
  client_.on_bytes(memory_.bytes().subspan(disk_read_.skipped, disk_read_.wanted));
}

// What only the store knows how to read.
void ValueReader::read_blocking(uint64_t offset, uint64_t bytes) {
  own_.resize(bytes);
  const auto done = value_->read(offset, std::as_writable_bytes(std::span(own_)));
  if (!done || *done == 0) return client_.on_failure(IoStatus::kIoError);
  client_.on_bytes(std::as_bytes(std::span(own_)).first(*done));
}

}  // namespace splitring::kiosk
