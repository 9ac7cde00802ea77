// The fuzzer's frontend with seeded bytes: many hostile requests in every build, sanitizers too.
#include <gtest/gtest.h>
#include <spdlog/spdlog.h>

#include <random>
#include <vector>

#include "tests/support/backend/hostile_run.h"

namespace splitring::backend {
namespace {

TEST(BackendBytes, NothingAFrontendWritesBreaksARule) {
  const auto level = spdlog::get_level();
  spdlog::set_level(spdlog::level::off);
  uint64_t answers = 0;
  for (uint32_t seed = 1; seed <= 2000; seed++) {
    std::mt19937 random(seed);
    std::vector<uint8_t> bytes(1 + random() % 4096);
    for (uint8_t& byte : bytes) byte = static_cast<uint8_t>(random());
    const HostileOutcome outcome = run_hostile_frontend(bytes);
    ASSERT_EQ(outcome.fault, "") << "seed " << seed;
    answers += outcome.answers;
  }
  spdlog::set_level(level);
  EXPECT_GE(answers, 20'000U) << "the bytes do not reach the pump any more";
}

}  // namespace
}  // namespace splitring::backend
