#include "tools/kiosk/observe/live_feed.h"

#include <algorithm>

namespace splitring::kiosk {

LiveFeed::LiveFeed(Look look, std::vector<uint64_t> latency_bounds_us)
    : look_(std::move(look)), latency_bounds_us_(std::move(latency_bounds_us)) {}

LiveFeed::~LiveFeed() {
  {
    const std::lock_guard lock(mutex_);
    stop_ = true;
  }
  stopped_.notify_all();
  if (thread_.joinable()) thread_.join();
}

void LiveFeed::start() {
  take_sample();
  thread_ = std::thread([this] { run(); });
}

void LiveFeed::run() {
  auto due = std::chrono::steady_clock::now();
  std::unique_lock lock(mutex_);
  while (!stop_) {
    // A look that took longer than the interval is not made up for.
    due = std::max(due + kSampleInterval, std::chrono::steady_clock::now());
    if (stopped_.wait_until(lock, due, [this] { return stop_; })) return;
    lock.unlock();
    take_sample();
    lock.lock();
  }
}

void LiveFeed::take_sample() {
  const auto sample = std::make_shared<const std::string>(to_text(to_json(look_())));
  const std::lock_guard lock(mutex_);
  samples_.push_back(sample);
  if (samples_.size() > kKeptSamples) samples_.pop_front();
  for (const Tell* const tell : listeners_) (*tell)(sample);
}

std::string LiveFeed::hello() const {
  std::string text = R"({"type":"hello","interval_ms":)" + std::to_string(kSampleInterval.count()) +
                     R"(,"http_bounds_us":)" + nlohmann::json(latency_bounds_us_).dump() +
                     R"(,"samples":[)";
  for (const auto& sample : samples_) {
    if (sample != samples_.front()) text += ',';
    text += *sample;
  }
  return text + "]}";
}

std::unique_ptr<LiveFeed::Listener> LiveFeed::listen(Tell tell) {
  auto listener = std::make_unique<Listener>(*this, std::move(tell));
  {
    const std::lock_guard lock(mutex_);
    if (listeners_.size() < kMaxListeners) {
      listener->tell_(std::make_shared<const std::string>(hello()));
      listeners_.push_back(&listener->tell_);
      return listener;
    }
  }
  return nullptr;  // the listener goes without the lock, which it takes
}

LiveFeed::Listener::~Listener() {
  const std::lock_guard lock(feed_.mutex_);
  std::erase(feed_.listeners_, &tell_);
}

std::shared_ptr<const std::string> LiveFeed::latest() const {
  const std::lock_guard lock(mutex_);
  return samples_.empty() ? std::make_shared<const std::string>("{}") : samples_.back();
}

}  // namespace splitring::kiosk
