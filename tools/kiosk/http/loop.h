// One thread's event loop: descriptors, timers, calls from other threads, and what is due at the
// end of a turn.
//
// By hand on epoll: a request that is in memory costs two system calls, and a general loop's
// bookkeeping would cost as much as our part of them. Descriptors are watched edge-triggered, so a
// watcher reads or writes until it would block, and nothing is ever armed again.
//
// One owner thread; post() and stop() may be called from any.
#pragma once

#include <array>
#include <chrono>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <vector>

#include "base/result.h"
#include "base/unique_fd.h"

namespace splitring::http {

class Loop {
 public:
  using Clock = std::chrono::steady_clock;

  class Watcher {
   public:
    virtual ~Watcher() = default;
    // `events`: EPOLLIN, EPOLLOUT, EPOLLRDHUP, EPOLLHUP, EPOLLERR of epoll(7).
    virtual void on_ready(uint32_t events) = 0;
  };

  // Called once by every turn before the loop sleeps; true: do not sleep, come again.
  class EndOfTurn {
   public:
    virtual ~EndOfTurn() = default;
    virtual bool at_end_of_turn() = 0;
  };

  // Fires once. Goes before its loop. Set again at will, also from its own call.
  class Timer {
   public:
    Timer(Loop& loop, std::function<void()> call) : loop_(loop), call_(std::move(call)) {}
    ~Timer() { cancel(); }
    Timer(const Timer&) = delete;
    Timer& operator=(const Timer&) = delete;
    void set(Clock::time_point due);
    void cancel();
    [[nodiscard]] bool is_set() const { return is_set_; }

   private:
    friend class Loop;
    Loop& loop_;
    std::function<void()> call_;
    std::multimap<Clock::time_point, Timer*>::iterator place_;
    bool is_set_ = false;
  };

  static Result<std::unique_ptr<Loop>> create();
  ~Loop() = default;
  Loop(const Loop&) = delete;
  Loop& operator=(const Loop&) = delete;

  // `level`: keeps saying so while the descriptor is ready. The watcher outlives the watch; after
  // unwatch() it hears nothing more.
  Result<> watch(int fd, uint32_t events, Watcher& watcher, bool level = false);
  void unwatch(int fd, Watcher& watcher);
  void add_end_of_turn(EndOfTurn& task) { end_of_turn_.push_back(&task); }
  void remove_end_of_turn(EndOfTurn& task) { std::erase(end_of_turn_, &task); }

  // When this turn began.
  [[nodiscard]] Clock::time_point now() const { return now_; }
  // The second that it is, and the same as HTTP says it; made anew once a second.
  [[nodiscard]] std::time_t unix_seconds() const { return unix_seconds_; }
  [[nodiscard]] std::string_view http_date() const { return http_date_; }

  // Runs `call` in a later turn, on the loop's thread; after the loop's end never.
  void post(std::function<void()> call);

  // Until stop(); may be run again.
  void run();
  void stop();

 private:
  Loop(UniqueFd epoll, UniqueFd wake) : epoll_(std::move(epoll)), wake_(std::move(wake)) {}
  void turn();
  void look_at_the_clock();
  void run_timers();
  void run_posted();
  [[nodiscard]] int sleep_ms(bool again) const;

  UniqueFd epoll_;
  UniqueFd wake_;
  std::vector<EndOfTurn*> end_of_turn_;
  std::multimap<Clock::time_point, Timer*> timers_;
  // Of the turn at hand; an entry is emptied when its watcher goes.
  struct Ready {
    Watcher* watcher;
    uint32_t events;
  };
  std::array<Ready, 256> ready_{};
  size_t ready_count_ = 0;
  Clock::time_point now_ = Clock::now();
  std::time_t unix_seconds_ = 0;
  std::string http_date_;
  bool stopped_ = false;

  std::mutex mutex_;
  std::vector<std::function<void()>> posted_;
};

}  // namespace splitring::http
