// A device that fails or holds back requests as it is told: by operation, by range, from the Nth
// on, or by a seeded chance. For tests, and for anyone who wants to see what a program does when
// its disk fails.
#pragma once

#include <limits>
#include <memory>
#include <mutex>
#include <optional>
#include <random>
#include <vector>

#include "blkimage/forwarding.h"

namespace splitring {

// Which requests are hit, and how. The first rule that matches decides.
struct FaultRule {
  static constexpr uint64_t kEverywhere = std::numeric_limits<uint64_t>::max();

  std::optional<Operation> operation = std::nullopt;  // none: any
  // Requests that touch this range; a flush touches none, and is only hit if it is left as it is.
  Sectors first{0};
  Sectors length{kEverywhere};
  uint64_t let_pass = 0;                                  // so many matching requests pass first
  uint64_t times = std::numeric_limits<uint64_t>::max();  // then so many are hit
  double chance = 1;                                      // of those, each with this probability

  bool hold = false;  // until release(); then it goes on, to `status` or to the device below
  // kOk: goes below (after being held). Anything else: completes with this; nothing happens below.
  IoStatus status = IoStatus::kIoError;

  // By operation and range.
  [[nodiscard]] bool covers(const BlockRequest& request) const noexcept;
};

// Its own members: any thread.
class FaultDevice final : public ForwardingDevice {
 public:
  FaultDevice(std::unique_ptr<BlockDevice> device, uint64_t seed);
  ~FaultDevice() override;

  void add_rule(const FaultRule& rule);
  void clear_rules();
  // Lets go of every request that is held now.
  void release();
  [[nodiscard]] uint64_t hits() const;

  [[nodiscard]] std::string name() const override { return below().name() + " (with faults)"; }
  Result<std::unique_ptr<BlockQueue>> open_queue(const QueueOptions& options) override;

 private:
  class Queue;
  struct Rule : FaultRule {
    uint64_t matched = 0;
    uint64_t hit = 0;
  };
  struct Verdict {
    bool hold = false;
    IoStatus status = IoStatus::kOk;
  };
  Verdict judge(const BlockRequest& request) noexcept;

  mutable std::mutex mutex_;  // of all below
  std::vector<Rule> rules_;
  std::mt19937_64 random_;
  uint64_t hits_ = 0;
  std::vector<Queue*> lanes_;
};

}  // namespace splitring
