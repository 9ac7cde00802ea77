#include "xenbus/store_event_queue.h"

#include <gtest/gtest.h>

#include <string>

namespace splitring {
namespace {

TEST(StoreEventQueue, X5_IdenticalWaitingEventsAreOne) {
  StoreEventQueue queue;
  for (int i = 0; i < 100'000; i++) queue.add(1, "/a", {"/a/b", "t"});
  queue.add(1, "/a", {"/a/c", "t"});
  queue.add(2, "/a", {"/a/b", "u"});
  EXPECT_EQ(queue.size(), 3U);
  EXPECT_EQ(queue.take()->path, "/a/b");
  EXPECT_EQ(queue.take()->path, "/a/c");
  EXPECT_EQ(queue.take()->token, "u");
  EXPECT_FALSE(queue.take());
  EXPECT_EQ(queue.bytes(), 0U);
}

TEST(StoreEventQueue, AnEventThatWasTakenComesAgain) {
  StoreEventQueue queue;
  queue.add(1, "/a", {"/a/b", "t"});
  EXPECT_TRUE(queue.take());
  queue.add(1, "/a", {"/a/b", "t"});
  EXPECT_TRUE(queue.take());
}

TEST(StoreEventQueue, X5_OverflowCollapsesIntoTheWatchedPath) {
  constexpr size_t kBytesMax = 10'000;
  StoreEventQueue queue(kBytesMax);
  queue.add(2, "/other", {"/other/x", "u"});
  for (int i = 0; i < 100'000; i++) {
    queue.add(1, "/a", {"/a/" + std::to_string(i), "t"});
    ASSERT_LE(queue.bytes(), kBytesMax);
  }
  // What the other watch waits for is still there; the first one looks at all of its path again.
  EXPECT_EQ(queue.take()->path, "/other/x");
  EXPECT_EQ(queue.take()->path, "/a");
  EXPECT_FALSE(queue.take());
  queue.add(1, "/a", {"/a/b", "t"});
  EXPECT_EQ(queue.take()->path, "/a/b");
}

TEST(StoreEventQueue, ForgetsWhatWaitsOfAWatch) {
  StoreEventQueue queue;
  queue.add(1, "/a", {"/a/b", "t"});
  queue.add(2, "/a", {"/a/b", "u"});
  queue.forget(1);
  EXPECT_EQ(queue.take()->token, "u");
  EXPECT_FALSE(queue.take());
  for (const char* path : {"/a", "/a/b", "/ab"}) queue.add(0, "", {path, "t"});
  queue.add(0, "", {"/a", "u"});
  queue.forget("t", "/a");
  EXPECT_EQ(queue.take()->path, "/ab");
  EXPECT_EQ(queue.take()->token, "u");
  EXPECT_FALSE(queue.take());
  EXPECT_EQ(queue.bytes(), 0U);
}

}  // namespace
}  // namespace splitring
