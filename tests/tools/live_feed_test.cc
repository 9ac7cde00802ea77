#include "tools/kiosk/observe/live_feed.h"

#include <gtest/gtest.h>

namespace splitring::kiosk {
namespace {

using Json = nlohmann::json;
using State = tools::NamedDevices::State;

tools::NamedDevices::Status disk(const std::string& name, State state = State::kPlugged) {
  tools::NamedDevices::Status status;
  status.name = name;
  status.uri = "raw:/srv/" + name;
  status.state = state;
  return status;
}

// With the figures that it is asked for counted.
class Feed {
 public:
  Feed()
      : feed_(
            [this] {
              figures_.time_ms += 500;
              return figures_;
            },
            {100, 200}) {}
  LiveFeed& operator*() { return feed_; }
  LiveFeed* operator->() { return &feed_; }

 private:
  Figures figures_;
  LiveFeed feed_;
};

// What a listener was told.
struct Told {
  std::vector<std::string> messages;
  LiveFeed::Tell tell() {
    return [this](const auto& message) { messages.push_back(*message); };
  }
};

TEST(LiveFeed, AListenerHearsWhatWasAndThenWhatHappens) {
  Feed feed;
  feed->take_sample();
  feed->take_sample();
  Told told;
  const auto listener = feed->listen(told.tell());
  feed->take_sample();
  ASSERT_EQ(told.messages.size(), 2U);
  const Json hello = Json::parse(told.messages[0]);
  EXPECT_EQ(hello["type"], "hello");
  EXPECT_EQ(hello["http_bounds_us"], Json({100, 200}));
  ASSERT_EQ(hello["samples"].size(), 2U);
  EXPECT_EQ(hello["samples"][1]["t"], 1000);
  EXPECT_EQ(Json::parse(told.messages[1])["t"], 1500);
}

TEST(LiveFeed, WhoHasGoneIsNotTold) {
  Feed feed;
  Told told;
  feed->listen(told.tell()).reset();
  feed->take_sample();
  EXPECT_EQ(told.messages.size(), 1U);  // its hello
}

TEST(LiveFeed, H2_KeepsAMinuteAndTakesSoManyListeners) {
  Feed feed;
  for (size_t i = 0; i < 2 * kKeptSamples; i++) feed->take_sample();
  Told told;
  std::vector<std::unique_ptr<LiveFeed::Listener>> listeners;
  for (size_t i = 0; i < kMaxListeners; i++) listeners.push_back(feed->listen(told.tell()));
  EXPECT_EQ(Json::parse(told.messages[0])["samples"].size(), kKeptSamples);
  EXPECT_EQ(feed->listen(told.tell()), nullptr);
  listeners.pop_back();
  EXPECT_NE(feed->listen(told.tell()), nullptr);
}

TEST(LiveFeed, TakesSamplesByItself) {
  Feed feed;
  std::mutex mutex;
  std::condition_variable changed;
  int told = 0;
  const auto listener = feed->listen([&](const auto&) {
    const std::lock_guard lock(mutex);
    told++;
    changed.notify_all();
  });
  feed->start();
  std::unique_lock lock(mutex);
  EXPECT_TRUE(changed.wait_for(lock, std::chrono::seconds(60), [&] { return told >= 4; }));
}

TEST(Figures, WhatIsNotKnownIsNull) {
  Figures figures;
  figures.disks = {disk("a"), disk("b", State::kWaiting), disk("c", State::kGone)};
  const Json json = Json::parse(to_text(to_json(figures)));
  EXPECT_TRUE(json["disks"][0]["stats"].is_object());
  EXPECT_TRUE(json["disks"][0]["ring"].is_null());
  EXPECT_TRUE(json["disks"][0]["backend"].is_null());
  EXPECT_TRUE(json["disks"][1]["stats"].is_null());
  EXPECT_EQ(json["disks"][1]["state"], "waiting");
  EXPECT_EQ(json["disks"][2]["state"], "gone");
}

TEST(Figures, ARingIsToldWithItsSlots) {
  Figures figures;
  figures.disks = {disk("a")};
  figures.disks[0].ring.emplace();
  figures.disks[0].ring->lanes = 2;
  figures.disks[0].ring->ring_pages = 4;
  const Json json = Json::parse(to_text(to_json(figures)));
  EXPECT_EQ(json["disks"][0]["ring"]["slots"], 256);
}

TEST(Figures, ABackendIsFoundByItsDirectory) {
  Figures figures;
  figures.disks = {disk("a"), disk("b")};
  figures.disks[0].backend_directory = "/local/domain/0/backend/vbd/1/51712";
  figures.backend_devices = Json::parse(R"([
    {"backend_directory": "/local/domain/0/backend/vbd/2/51712", "target": "raw:/other"},
    {"backend_directory": "/local/domain/0/backend/vbd/1/51712", "target": "raw:/ours",
     "state": "Connected", "in_flight": 3, "persistent_grants": true,
     "counters": {"requests": {"read": 5, "write": 2}, "sectors": {"read": 10},
                  "latency_buckets": [1, 2]}}])");
  const Json json = Json::parse(to_text(to_json(figures)));
  const Json& backend = json["disks"][0]["backend"];
  EXPECT_EQ(backend["target"], "raw:/ours");
  EXPECT_EQ(backend["in_flight"], 3);
  EXPECT_EQ(backend["requests"], 7);
  EXPECT_EQ(backend["bytes"], 5120);
  EXPECT_EQ(backend["latency"], Json({1, 2}));
  EXPECT_TRUE(json["disks"][1]["backend"].is_null());
}

TEST(Figures, H6_WhateverTheDaemonAnswersIsJsonOfOurForm) {
  Figures figures;
  figures.disks = {disk("a")};
  figures.disks[0].backend_directory = "x";
  for (const char* answer :
       {"5", "null", "{}", "[5, null, []]", R"([{"backend_directory": 5}])",
        R"([{"backend_directory": "x"}])",
        R"([{"backend_directory": "x", "target": 5, "state": [], "in_flight": -1, "counters": 7}])",
        R"([{"backend_directory": "x", "counters": {"requests": {"read": "many"},
            "latency_buckets": ["a", {}, -5]}}])"}) {
    figures.backend_devices = Json::parse(answer);
    const Json backend = Json::parse(to_text(to_json(figures)))["disks"][0]["backend"];
    if (!backend.is_null()) {
      EXPECT_EQ(backend["requests"], 0) << answer;
    }
  }
}

TEST(Figures, H6_NamesThatAreNoUtf8StillMakeJson) {
  Figures figures;
  figures.disks = {disk("a")};
  figures.disks[0].uri = "raw:/\xff\xfe\"</script>\n";
  figures.disks[0].error = "\x80";
  const Json json = Json::parse(to_text(to_json(figures)));
  EXPECT_EQ(json["disks"][0]["uri"], "raw:/\xef\xbf\xbd\xef\xbf\xbd\"</script>\n");
  EXPECT_TRUE(Json::parse(to_text(devices_json(figures.disks))).is_array());
}

}  // namespace
}  // namespace splitring::kiosk
