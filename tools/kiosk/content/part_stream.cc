#include "tools/kiosk/content/part_stream.h"

#include <algorithm>
#include <cassert>

namespace splitring::kiosk {

uint64_t StreamBudget::chunk_bytes() const {
  constexpr uint64_t kLeast = uint64_t{16} << 10;
  constexpr uint64_t kMost = uint64_t{256} << 10;
  return std::clamp(bytes / std::max<uint64_t>(1, streams.size()) / kLeast * kLeast, kLeast, kMost);
}

PartStream::PartStream(std::shared_ptr<Mount> mount, std::unique_ptr<kv::Value> value,
                       std::vector<Part> parts, std::shared_ptr<StreamBudget> budget,
                       http::WorkerMetrics& metrics)
    : reader_(std::move(mount), std::move(value), *this),
      parts_(std::move(parts)),
      budget_(std::move(budget)),
      metrics_(metrics) {
  budget_->streams.insert(this);
}

PartStream::~PartStream() { budget_->streams.erase(this); }

void PartStream::cut() {
  if (exchange_ == nullptr || is_reading_) return;
  metrics_.disk_read_errors.add();
  exchange_->abort();
}

void PartStream::next(http::Exchange& exchange) {
  exchange_ = &exchange;
  for (;;) {
    // The engine asks for no more than the plan's length.
    assert(part_ < parts_.size());
    Part& part = parts_[part_];
    if (!text_given_ && !part.text.empty()) {
      text_given_ = true;
      return exchange.give(std::as_bytes(std::span(part.text)));
    }
    if (part.bytes.length != 0) {
      is_reading_ = true;
      return reader_.read(part.bytes.first, std::min(part.bytes.length, budget_->chunk_bytes()));
    }
    part_++;
    text_given_ = false;
  }
}

void PartStream::on_bytes(std::span<const std::byte> bytes) {
  is_reading_ = false;
  parts_[part_].bytes.first += bytes.size();
  parts_[part_].bytes.length -= bytes.size();
  exchange_->give(bytes);
}

void PartStream::on_failure(IoStatus /*status*/) {
  is_reading_ = false;
  metrics_.disk_read_errors.add();
  exchange_->abort();
}

void MemoryParts::next(http::Exchange& exchange) {
  for (;;) {
    assert(part_ < parts_.size());
    Part& part = parts_[part_];
    if (!text_given_ && !part.text.empty()) {
      text_given_ = true;
      return exchange.give(std::as_bytes(std::span(part.text)));
    }
    part_++;
    text_given_ = false;
    if (part.bytes.length != 0)
      return exchange.give(bytes_.subspan(part.bytes.first, part.bytes.length));
  }
}

}  // namespace splitring::kiosk
