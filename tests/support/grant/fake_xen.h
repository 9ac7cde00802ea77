// libxengnttab and libxenevtchn as a test wants them: the same functions, defined in the test
// program, so that the sources under test run unchanged on a machine without Xen.
#pragma once

#include <cstdint>
#include <deque>
#include <string>
#include <vector>

namespace splitring::testing {

struct FakeXen {
  int open_errno = 0;  // 0: opening works
  int map_errno = 0;
  int share_errno = 0;
  int copy_errno = 0;  // of every copy once copy_calls_that_work are used up
  int copy_calls_that_work = 0;
  // Statuses of the pieces, in the order in which they are asked about; GNTST_okay when used up.
  std::deque<int16_t> copy_statuses;
  std::vector<uint32_t> copy_counts;  // of each call
  int16_t copy_always = 0;            // if not 0: every piece's status

  // What was called, in order: "map 3 8,9 r", "unmap 2", "unmask 5", ...
  std::vector<std::string> calls;
  int share_fd_flags = 0;  // FD_CLOEXEC or not, when it was closed
  int event_pipe[2] = {-1, -1};
};

// Reset by a test's set-up.
FakeXen& fake_xen();

// A signal arrives at `port`.
void raise_fake_event(uint32_t port);

}  // namespace splitring::testing
