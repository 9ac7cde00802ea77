#include "tools/kiosk/lane_reader.h"

#include <fcntl.h>

#include <boost/asio/post.hpp>
#include <cerrno>

#include "base/unique_fd.h"

namespace splitring::kiosk {

LaneReader::LaneReader(Loop& loop, BlockQueue& lane, WorkerMetrics& metrics)
    : loop_(loop), lane_(lane), metrics_(metrics), ready_(loop) {}

Result<> LaneReader::open() {
  UniqueFd duplicate(::fcntl(lane_.fd(), F_DUPFD_CLOEXEC, 0));
  if (!duplicate) return fail_errno("duplicating a lane's descriptor", errno);
  boost::system::error_code error;
  ready_.assign(duplicate.get(), error);
  if (error) return fail(Errc::kUnsupported, "watching a lane's descriptor: " + error.message());
  (void)duplicate.release();
  return {};
}

void LaneReader::start(BlockRequest& read) {
  metrics_.disk_reads.add();
  lane_.submit(read);
  metrics_.disk_read_bytes.add(read.byte_count);
  schedule();
}

void LaneReader::schedule() {
  if (scheduled_) return;
  scheduled_ = true;
  boost::asio::post(loop_, [this] {
    scheduled_ = false;
    pump();
  });
}

void LaneReader::pump() {
  lane_.kick();
  while (lane_.poll() != 0) {
  }
  if (lane_.in_flight() == 0) return;
  // Every poll may have used up what an earlier wait was armed with: arm anew.
  if (!lane_.prepare_to_wait()) return schedule();
  if (waiting_) return;
  waiting_ = true;
  ready_.async_wait(decltype(ready_)::wait_read, [this](const boost::system::error_code& error) {
    if (error) return;  // closed: the loop is ending
    waiting_ = false;
    pump();
  });
}

}  // namespace splitring::kiosk
