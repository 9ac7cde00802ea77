// The figures as they happen: a sample every half second, the last minute kept, and every listener
// told. What a page shows is the same for all who look, however many they are.
//
// Thread-safe; samples are taken on a thread of its own. Figures that cost a question to the
// backend's daemon are asked for there too, so that nobody else waits for it.
#pragma once

#include <chrono>
#include <condition_variable>
#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "tools/kiosk/observe/figures.h"

namespace splitring::kiosk {

inline constexpr std::chrono::milliseconds kSampleInterval{500};
inline constexpr size_t kKeptSamples = 121;  // a minute, both ends
inline constexpr size_t kMaxListeners = 256;

class LiveFeed {
 public:
  // Called on the feed's thread, or in listen(); the text is one JSON object.
  using Tell = std::function<void(const std::shared_ptr<const std::string>& message)>;
  using Look = std::function<Figures()>;

  // `look` is called on the feed's thread. `latency_bounds_us` are those of ServiceFigures.
  LiveFeed(Look look, std::vector<uint64_t> latency_bounds_us);
  ~LiveFeed();
  LiveFeed(const LiveFeed&) = delete;
  LiveFeed& operator=(const LiveFeed&) = delete;

  // Begins to take samples. Without it they are taken by hand.
  void start();
  void take_sample();

  // As long as it lives, `tell` is called: first with what is kept, then with each sample. Null:
  // there are kMaxListeners already.
  class Listener;
  [[nodiscard]] std::unique_ptr<Listener> listen(Tell tell);
  [[nodiscard]] std::shared_ptr<const std::string> latest() const;

 private:
  void run();
  [[nodiscard]] std::string hello() const;

  const Look look_;
  const std::vector<uint64_t> latency_bounds_us_;
  mutable std::mutex mutex_;
  std::condition_variable stopped_;
  bool stop_ = false;
  std::deque<std::shared_ptr<const std::string>> samples_;
  std::vector<const Tell*> listeners_;
  std::thread thread_;
};

class LiveFeed::Listener {
 public:
  Listener(LiveFeed& feed, Tell tell) : feed_(feed), tell_(std::move(tell)) {}
  // Once it is gone `tell` is not running and is not called again.
  ~Listener();
  Listener(const Listener&) = delete;
  Listener& operator=(const Listener&) = delete;

 private:
  friend class LiveFeed;
  LiveFeed& feed_;
  const Tell tell_;
};

}  // namespace splitring::kiosk
