#include "frontend/lane_slot.h"

#include <utility>

namespace splitring::frontend {

const char* to_string(LinkPhase phase) {
  switch (phase) {
    case LinkPhase::kWaiting: return "waiting for the backend";
    case LinkPhase::kConnected: return "connected";
    case LinkPhase::kDraining: return "closing";
    case LinkPhase::kGone: return "gone";
    case LinkPhase::kBroken: return "disabled for further use";
  }
  return "unknown";
}

const char* to_string(RingFault fault) {
  switch (fault) {
    case RingFault::kNone: return "no fault";
    case RingFault::kResponseIndex: return "impossible response index in the ring";
    case RingFault::kUnknownId: return "response to a request that is not in flight";
    case RingFault::kWrongOperation: return "response with the operation of another request";
    case RingFault::kStalled: return "no response within the request timeout";
  }
  return "unknown fault";
}

void LaneSlot::changed() { changes_.fetch_add(1, std::memory_order_release); }

void LaneSlot::publish(std::unique_ptr<LaneConnection> connection) {
  std::unique_ptr<LaneConnection> unused;  // outlives the lock
  {
    const std::lock_guard lock(mutex_);
    unused = std::exchange(fresh_, std::move(connection));
    phase_ = LinkPhase::kConnected;
    changed();
  }
  lane_wake_.signal();
}

void LaneSlot::set_phase(LinkPhase phase) {
  std::unique_ptr<LaneConnection> unused;
  {
    const std::lock_guard lock(mutex_);
    if (phase != LinkPhase::kDraining) unused = std::move(fresh_);
    phase_ = phase;
    changed();
  }
  lane_wake_.signal();
}

void LaneSlot::drop_retired() {
  std::vector<std::unique_ptr<LaneConnection>> dropped;
  const std::lock_guard lock(mutex_);
  dropped.swap(retired_);
}

bool LaneSlot::open() {
  const std::lock_guard lock(mutex_);
  return !std::exchange(open_, true);
}

void LaneSlot::close(std::unique_ptr<LaneConnection> connection, uint32_t seen_changes) {
  {
    const std::lock_guard lock(mutex_);
    const bool current = seen_changes == changes_.load(std::memory_order_relaxed);
    if (connection != nullptr && current)
      fresh_ = std::move(connection);
    else if (connection != nullptr)
      retired_.push_back(std::move(connection));
    open_ = false;
  }
  control_wake_.signal();
}

LaneSlot::View LaneSlot::look() {
  const std::lock_guard lock(mutex_);
  return {changes_.load(std::memory_order_relaxed), phase_, fresh_ != nullptr};
}

std::unique_ptr<LaneConnection> LaneSlot::take_fresh() {
  const std::lock_guard lock(mutex_);
  return std::move(fresh_);
}

void LaneSlot::retire(std::unique_ptr<LaneConnection> connection) {
  {
    const std::lock_guard lock(mutex_);
    retired_.push_back(std::move(connection));
  }
  control_wake_.signal();
}

void LaneSlot::report_fault(RingFault fault) {
  fault_.store(fault, std::memory_order_release);
  control_wake_.signal();
}

}  // namespace splitring::frontend
