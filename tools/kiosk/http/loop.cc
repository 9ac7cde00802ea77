#include "tools/kiosk/http/loop.h"

#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <ctime>

#include "tools/kiosk/http/http_text.h"

namespace splitring::http {

void Loop::Timer::set(Clock::time_point due) {
  cancel();
  place_ = loop_.timers_.emplace(due, this);
  is_set_ = true;
}

void Loop::Timer::cancel() {
  if (is_set_) loop_.timers_.erase(place_);
  is_set_ = false;
}

Result<std::unique_ptr<Loop>> Loop::create() {
  UniqueFd epoll(::epoll_create1(EPOLL_CLOEXEC));
  if (!epoll) return fail_errno("epoll_create1", errno);
  UniqueFd wake(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
  if (!wake) return fail_errno("eventfd", errno);
  epoll_event event{.events = EPOLLIN, .data = {.ptr = nullptr}};
  if (::epoll_ctl(epoll.get(), EPOLL_CTL_ADD, wake.get(), &event) != 0)
    return fail_errno("watching an eventfd", errno);
  std::unique_ptr<Loop> loop(new Loop(std::move(epoll), std::move(wake)));
  loop->look_at_the_clock();
  return loop;
}

Result<> Loop::watch(int fd, uint32_t events, Watcher& watcher, bool level) {
  epoll_event event{.events = events | (level ? 0U : EPOLLET), .data = {.ptr = &watcher}};
  if (::epoll_ctl(epoll_.get(), EPOLL_CTL_ADD, fd, &event) != 0)
    return fail_errno("watching a descriptor", errno);
  return {};
}

void Loop::unwatch(int fd, Watcher& watcher) {
  ::epoll_ctl(epoll_.get(), EPOLL_CTL_DEL, fd, nullptr);
  for (size_t i = 0; i < ready_count_; i++)
    if (ready_[i].watcher == &watcher) ready_[i].watcher = nullptr;
}

void Loop::post(std::function<void()> call) {
  {
    const std::lock_guard lock(mutex_);
    posted_.push_back(std::move(call));
  }
  const uint64_t one = 1;
  (void)!::write(wake_.get(), &one, sizeof one);  // a full counter wakes as well
}

void Loop::stop() {
  post([this] { stopped_ = true; });
}

void Loop::run() {
  while (!stopped_) turn();
  stopped_ = false;
}

void Loop::turn() {
  bool again = false;
  for (EndOfTurn* task : end_of_turn_) again = task->at_end_of_turn() || again;
  std::array<epoll_event, 256> events;
  const int count = ::epoll_wait(epoll_.get(), events.data(), events.size(), sleep_ms(again));
  look_at_the_clock();
  bool has_posted = false;
  ready_count_ = 0;
  for (int i = 0; i < count; i++) {
    const epoll_event& event = events[static_cast<size_t>(i)];
    if (event.data.ptr == nullptr)
      has_posted = true;
    else
      ready_[ready_count_++] = {static_cast<Watcher*>(event.data.ptr), event.events};
  }
  // Meanwhile unwatch() may empty entries that are still to come.
  for (size_t i = 0; i < ready_count_; i++)
    if (ready_[i].watcher != nullptr) ready_[i].watcher->on_ready(ready_[i].events);
  ready_count_ = 0;
  run_timers();
  if (has_posted) run_posted();
}

void Loop::look_at_the_clock() {
  now_ = Clock::now();
  timespec clock{};
  ::clock_gettime(CLOCK_REALTIME_COARSE, &clock);
  if (clock.tv_sec == unix_seconds_) return;
  unix_seconds_ = clock.tv_sec;
  http_date_ = http::http_date(unix_seconds_).value_or("Thu, 01 Jan 1970 00:00:00 GMT");
}

void Loop::run_timers() {
  while (!timers_.empty() && timers_.begin()->first <= now_) {
    Timer& timer = *timers_.begin()->second;
    timer.cancel();
    timer.call_();
  }
}

void Loop::run_posted() {
  uint64_t count = 0;
  (void)!::read(wake_.get(), &count, sizeof count);
  std::vector<std::function<void()>> calls;
  {
    const std::lock_guard lock(mutex_);
    calls.swap(posted_);
  }
  for (const auto& call : calls) call();
}

int Loop::sleep_ms(bool again) const {
  if (again) return 0;
  if (timers_.empty()) return -1;
  const auto left =
      std::chrono::ceil<std::chrono::milliseconds>(timers_.begin()->first - Clock::now());
  return static_cast<int>(std::clamp<int64_t>(left.count(), 0, 60'000));
}

}  // namespace splitring::http
