// The body of an answer that is too large to be kept, or of which parts were asked for: texts and
// bytes of a value in turn, a chunk at a time.
#pragma once

#include <set>
#include <vector>

#include "tools/kiosk/content/representation.h"
#include "tools/kiosk/content/value_reader.h"
#include "tools/kiosk/http/source.h"

namespace splitring::kiosk {

class PartStream;

// The streams of one thread, and what they take at a time: less as they grow in number, so that the
// memory of all stays within bounds. Shared with streams that outlive who made it.
struct StreamBudget {
  uint64_t bytes = uint64_t{64} << 20;
  std::set<PartStream*> streams = {};

  [[nodiscard]] uint64_t chunk_bytes() const;
};

class PartStream final : public http::BodyStream, private ValueReader::Client {
 public:
  PartStream(std::shared_ptr<Mount> mount, std::unique_ptr<kv::Value> value,
             std::vector<Part> parts, std::shared_ptr<StreamBudget> budget,
             http::WorkerMetrics& metrics);
  ~PartStream() override;
  void next(http::Exchange& exchange) override;

  // Ends the answer where it is: its disk has gone. Nothing if a read is under way, which says so
  // itself.
  void cut();
  [[nodiscard]] bool is_of(const Mount& mount) const { return &reader_.mount() == &mount; }

 private:
  void on_bytes(std::span<const std::byte> bytes) override;
  void on_failure(IoStatus status) override;

  ValueReader reader_;
  bool is_reading_ = false;
  std::vector<Part> parts_;
  std::shared_ptr<StreamBudget> budget_;
  http::WorkerMetrics& metrics_;
  size_t part_ = 0;
  bool text_given_ = false;
  http::Exchange* exchange_ = nullptr;
};

// The same of bytes that are in memory and stay there as long as `keeper` does.
class MemoryParts final : public http::BodyStream {
 public:
  MemoryParts(http::PreparedRef keeper, std::span<const std::byte> bytes, std::vector<Part> parts)
      : keeper_(std::move(keeper)), bytes_(bytes), parts_(std::move(parts)) {}
  void next(http::Exchange& exchange) override;

 private:
  http::PreparedRef keeper_;
  std::span<const std::byte> bytes_;
  std::vector<Part> parts_;
  size_t part_ = 0;
  bool text_given_ = false;
};

}  // namespace splitring::kiosk
