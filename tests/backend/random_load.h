// Random reads and writes that keep the protocol, and a count of what is still to be answered.
#pragma once

#include <gtest/gtest.h>

#include <cstdint>
#include <random>
#include <set>
#include <vector>

#include "tests/backend/backend_suite.h"

namespace splitring::backend {

// On a bench whose disk withholds its answers. Each request is to be answered once, with success.
class RandomLoad {
 public:
  RandomLoad(PumpBench& bench, uint32_t seed) : bench_(bench), random_(seed) {}

  // True once in `of` times.
  bool once_in(uint32_t of) { return random_() % of == 0; }

  // As many requests as come to mind, at most as many as the ring has room for.
  void push_some() {
    for (size_t n = random_() % (bench_.frontend->free_slots() + 1); n != 0; n--) {
      const auto page = static_cast<uint32_t>(random_() % 8);
      bench_.frontend->push(once_in(2) ? read_request(next_id_, random_() % 2000, {segment(page)})
                                       : write_request(next_id_, 0, {segment(page)}));
      waiting_.insert(next_id_++);
    }
  }

  // Lets the disk answer some of what it holds, in any order.
  void release_some() {
    for (size_t n = random_() % (bench_.disk->held() + 1); n != 0; n--)
      bench_.disk->release(random_() % bench_.disk->held());
  }

  void collect(const std::vector<HandAnswer>& answers) {
    for (const HandAnswer& answer : answers) {
      EXPECT_EQ(answer.status, kOkay);
      EXPECT_EQ(waiting_.erase(answer.id), 1U) << "an answer to nothing";
    }
  }

  // After all was collected: nothing is owed, by the pump's counters too.
  void expect_all_answered() const {
    EXPECT_TRUE(waiting_.empty());
    EXPECT_EQ(bench_.counters.in_flight.value(), 0U);
  }

 private:
  PumpBench& bench_;
  std::mt19937 random_;
  std::set<uint64_t> waiting_;
  uint64_t next_id_ = uint64_t{1} << 60;
};

}  // namespace splitring::backend
