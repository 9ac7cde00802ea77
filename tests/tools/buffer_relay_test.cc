#include "tools/common/buffer_relay.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <future>
#include <random>
#include <string>
#include <thread>

#include "blkimage/memory_disk.h"

namespace splitring::tools {
namespace {

using Beside = BufferRelay::Beside;
constexpr size_t kBuffer = size_t{1} << 20;

class BufferRelayTest : public testing::Test {
 protected:
  // Hands out `text` in portions of at most `portion` bytes.
  BufferRelay::Source source_of(const std::string& text, size_t portion = SIZE_MAX) {
    return [&text, portion, at = size_t{0}](std::span<std::byte> out) mutable -> Result<size_t> {
      const size_t count = std::min({portion, out.size(), text.size() - at});
      std::ranges::copy(std::as_bytes(std::span(text).subspan(at, count)), out.begin());
      at += count;
      return count;
    };
  }
  static BufferRelay::Target append_to(std::string& text) {
    return [&text](std::span<const std::byte> bytes) -> Result<> {
      text.append(reinterpret_cast<const char*>(bytes.data()), bytes.size());
      return {};
    };
  }

  std::unique_ptr<BlockDevice> disk_ = std::move(*MemoryDisk::create(Sectors{8}));
  std::unique_ptr<BlockQueue> lane_ = std::move(*disk_->open_queue({}));
  BufferRelay relay_{*lane_};
};

TEST_F(BufferRelayTest, AllArrivesInOrderWhicheverSideIsBeside) {
  const uint32_t seed = std::random_device()();
  SCOPED_TRACE("seed " + std::to_string(seed));
  std::mt19937 random(seed);
  for (const size_t bytes :
       {size_t{0}, size_t{1}, kBuffer - 1, kBuffer, kBuffer + 1, 9 * kBuffer, 11 * kBuffer + 77}) {
    std::string text(bytes, '\0');
    for (char& byte : text) byte = static_cast<char>(random());
    for (const Beside beside : {Beside::kNothing, Beside::kSource, Beside::kTarget})
      for (const size_t portion : {SIZE_MAX, kBuffer / 3}) {
        std::string arrived;
        ASSERT_TRUE(relay_.run(source_of(text, portion), append_to(arrived), beside));
        ASSERT_EQ(arrived.size(), text.size());
        ASSERT_TRUE(arrived == text);
      }
  }
}

TEST_F(BufferRelayTest, NeitherSideWaitsForTheOther) {
  // The target takes the first buffer only once the source is asked for the second.
  for (const Beside beside : {Beside::kSource, Beside::kTarget}) {
    std::promise<void> second;
    int asked = 0;
    const auto done = relay_.run(
        [&](std::span<std::byte> out) -> Result<size_t> {
          if (++asked == 2) second.set_value();
          return asked <= 2 ? out.size() : 0;
        },
        [&, first = true](std::span<const std::byte>) mutable -> Result<> {
          if (std::exchange(first, false)) second.get_future().wait();
          return {};
        },
        beside);
    EXPECT_TRUE(done);
  }
}

TEST_F(BufferRelayTest, WhatFitsABufferStaysOnTheCallersThread) {
  const std::string text(1000, 'x');
  const auto caller = std::this_thread::get_id();
  for (const Beside beside : {Beside::kSource, Beside::kTarget})
    EXPECT_TRUE(relay_.run(
        [&, inner = source_of(text)](std::span<std::byte> out) mutable {
          EXPECT_EQ(std::this_thread::get_id(), caller);
          return inner(out);
        },
        [&](std::span<const std::byte>) -> Result<> {
          EXPECT_EQ(std::this_thread::get_id(), caller);
          return {};
        },
        beside));
}

TEST_F(BufferRelayTest, AFailureOfEitherSideEndsBoth) {
  for (const Beside beside : {Beside::kNothing, Beside::kSource, Beside::kTarget}) {
    int asked = 0;
    std::string arrived;
    const auto failed_source = relay_.run(
        [&](std::span<std::byte> out) -> Result<size_t> {
          if (++asked == 7) return fail(Errc::kIo, "the source broke");
          return out.size();
        },
        append_to(arrived), beside);
    ASSERT_FALSE(failed_source);
    EXPECT_EQ(failed_source.error().what, "the source broke");
    EXPECT_EQ(asked, 7);

    int taken = 0;
    const auto failed_target =
        relay_.run([](std::span<std::byte> out) -> Result<size_t> { return out.size(); },
                   [&](std::span<const std::byte>) -> Result<> {
                     return ++taken == 3 ? fail(Errc::kNoSpace, "the target is full") : Result<>{};
                   },
                   beside);
    ASSERT_FALSE(failed_target);
    EXPECT_EQ(failed_target.error().what, "the target is full");
    EXPECT_EQ(taken, 3);
  }
}

}  // namespace
}  // namespace splitring::tools
