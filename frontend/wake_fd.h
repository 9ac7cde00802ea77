// An eventfd by which one thread wakes another. Signals coalesce. Thread-safe.
#pragma once

#include <sys/eventfd.h>

#include <cstdint>
#include <utility>

#include "base/result.h"
#include "base/unique_fd.h"

namespace splitring::frontend {

class WakeFd {
 public:
  static Result<WakeFd> create() {
    UniqueFd fd(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
    if (!fd) return fail_errno("eventfd of a frontend", errno);
    return WakeFd(std::move(fd));
  }

  // Readable from signal() until clear().
  [[nodiscard]] int fd() const { return fd_.get(); }
  void signal() const noexcept { ::eventfd_write(fd_.get(), 1); }
  void clear() const noexcept {
    eventfd_t ignored = 0;
    ::eventfd_read(fd_.get(), &ignored);
  }

 private:
  explicit WakeFd(UniqueFd fd) : fd_(std::move(fd)) {}
  UniqueFd fd_;
};

}  // namespace splitring::frontend
