#include "tools/kiosk/content/lane_reader.h"

#include <sys/epoll.h>

namespace splitring::kiosk {

Result<> LaneReader::open() {
  // Edge-triggered: a signal that is left over from what a poll has found already wakes nobody.
  TRY_VOID(loop_.watch(lane_.fd(), EPOLLIN, *this));
  loop_.add_end_of_turn(*this);
  is_open_ = true;
  return {};
}

LaneReader::~LaneReader() {
  lane_.drain();
  if (!is_open_) return;
  loop_.unwatch(lane_.fd(), *this);
  loop_.remove_end_of_turn(*this);
}

void LaneReader::start(BlockRequest& read) {
  metrics_.disk_reads.add();
  lane_.submit(read);
  metrics_.disk_read_bytes.add(read.byte_count);
  due_ = true;
}

bool LaneReader::at_end_of_turn() {
  if (!due_) return false;
  lane_.kick();
  while (lane_.poll() != 0) {
  }
  due_ = lane_.in_flight() != 0 && !lane_.prepare_to_wait();
  return due_;
}

}  // namespace splitring::kiosk
