#include "tools/common/named_devices.h"

#include <gtest/gtest.h>
#include <sys/eventfd.h>

#include <condition_variable>
#include <filesystem>
#include <fstream>
#include <map>

namespace splitring::tools {
namespace {

namespace fs = std::filesystem;
constexpr std::chrono::seconds kPatience{60};

// What the handlers were told, in order; waiting for it.
class Events {
 public:
  NamedDevices::Handlers handlers() {
    return {.plugged =
                [this](const std::string& name, const std::shared_ptr<BlockDevice>& disk) {
                  add("+" + name + " " + std::to_string(disk->geometry().capacity.count));
                },
            .unplugged = [this](const std::string& name) { add("-" + name); }};
  }
  std::string next() {
    std::unique_lock lock(mutex_);
    if (!changed_.wait_for(lock, kPatience, [&] { return !events_.empty(); })) return "<nothing>";
    std::string event = events_.front();
    events_.erase(events_.begin());
    return event;
  }
  bool empty() {
    const std::lock_guard lock(mutex_);
    return events_.empty();
  }

 private:
  void add(std::string event) {
    const std::lock_guard lock(mutex_);
    events_.push_back(std::move(event));
    changed_.notify_all();
  }

  std::mutex mutex_;
  std::condition_variable changed_;
  std::vector<std::string> events_;
};

class NamedDevicesTest : public testing::Test {
 protected:
  void SetUp() override {
    std::string name = testing::TempDir() + "named-XXXXXX";
    ASSERT_NE(::mkdtemp(name.data()), nullptr);
    directory_ = name;
  }
  void TearDown() override {
    devices_.reset();
    fs::remove_all(directory_);
  }

  void start(const std::map<std::string, std::string>& names) {
    std::vector<NamedDisk> disks;
    for (const auto& [name, uri] : names)
      disks.push_back({.name = name, .uri = uri, .read_only = true, .place = "devices.toml:1"});
    auto started = NamedDevices::start(disks, {}, events_.handlers());
    ASSERT_TRUE(started) << started.error().what;
    devices_ = std::move(*started);
  }
  [[nodiscard]] fs::path file(const char* name) const { return directory_ / name; }
  [[nodiscard]] std::string raw(const char* name) const { return "raw:" + file(name).string(); }
  // Whole or not at all, as an image should be put in place.
  void put(const char* name, size_t sectors) const {
    std::ofstream(file("new"), std::ios::binary) << std::string(sectors * kSectorSize, 'x');
    fs::rename(file("new"), file(name));
  }

  fs::path directory_;
  Events events_;
  std::unique_ptr<NamedDevices> devices_;
};

TEST_F(NamedDevicesTest, WhatIsThereIsPluggedFromTheStart) {
  put("a.img", 3);
  start({{"a", raw("a.img")}, {"b", "mem:4M"}});
  EXPECT_EQ(events_.next(), "+a 3");
  EXPECT_EQ(events_.next(), "+b 8192");
  EXPECT_EQ(devices_->status()[0].state, NamedDevices::State::kPlugged);
}

TEST_F(NamedDevicesTest, AFileThatAppearsIsPluggedAndOneThatGoesUnplugged) {
  start({{"a", raw("a.img")}});
  EXPECT_TRUE(events_.empty());
  EXPECT_EQ(devices_->status()[0].state, NamedDevices::State::kWaiting);
  put("a.img", 2);
  EXPECT_EQ(events_.next(), "+a 2");
  fs::remove(file("a.img"));
  EXPECT_EQ(events_.next(), "-a");
  EXPECT_EQ(devices_->status()[0].state, NamedDevices::State::kGone);
  put("a.img", 5);
  EXPECT_EQ(events_.next(), "+a 5");
}

TEST_F(NamedDevicesTest, AFileRenamedOverTheOldOneIsAnotherDisk) {
  put("a.img", 2);
  start({{"a", raw("a.img")}});
  EXPECT_EQ(events_.next(), "+a 2");
  put("a.img", 7);
  EXPECT_EQ(events_.next(), "-a");
  EXPECT_EQ(events_.next(), "+a 7");
}

TEST_F(NamedDevicesTest, DirectoriesMayAppearAndGoToo) {
  start({{"a", raw("x/y/a.img")}});
  fs::create_directories(file("x/y"));
  put("x/y/a.img", 1);
  EXPECT_EQ(events_.next(), "+a 1");
  fs::rename(file("x/y"), file("away"));
  EXPECT_EQ(events_.next(), "-a");
  fs::rename(file("away"), file("x/y"));
  EXPECT_EQ(events_.next(), "+a 1");
}

TEST_F(NamedDevicesTest, APathMayBeRelative) {
  const fs::path before = fs::current_path();
  fs::current_path(directory_);
  start({{"a", "raw:a.img"}, {"b", "raw:sub/b.img"}});
  put("a.img", 3);
  EXPECT_EQ(events_.next(), "+a 3");
  fs::create_directory("sub");
  put("sub/b.img", 4);
  EXPECT_EQ(events_.next(), "+b 4");
  fs::current_path(before);
}

TEST_F(NamedDevicesTest, AnEmptyFileIsStillComing) {
  std::ofstream image(file("a.img"), std::ios::binary);
  image.flush();
  start({{"a", raw("a.img")}});
  EXPECT_TRUE(events_.empty());
  image << std::string(512, 'x');
  image.close();
  EXPECT_EQ(events_.next(), "+a 1");
}

TEST_F(NamedDevicesTest, WhatCannotBeOpenedSaysWhyAndIsTriedAgain) {
  fs::create_directory(file("a.img"));
  start({{"a", raw("a.img")}});
  EXPECT_NE(devices_->status()[0].error, "");
  fs::remove(file("a.img"));
  put("a.img", 4);
  EXPECT_EQ(events_.next(), "+a 4");
  EXPECT_EQ(devices_->status()[0].error, "");
}

TEST_F(NamedDevicesTest, WhoWaitsForANameGetsItWhenItAppears) {
  start({{"a", raw("a.img")}});
  const UniqueFd stop(::eventfd(0, EFD_CLOEXEC));
  std::thread later([&] { put("a.img", 6); });
  const auto disk = devices_->wait_for("a", stop.get());
  later.join();
  ASSERT_TRUE(disk) << disk.error().what;
  EXPECT_EQ((*disk)->geometry().capacity.count, 6U);
}

TEST_F(NamedDevicesTest, WhatPassesThroughADiskIsCounted) {
  put("a.img", 4);
  start({{"a", raw("a.img")}});
  const UniqueFd stop(::eventfd(0, EFD_CLOEXEC));
  const auto disk = *devices_->wait_for("a", stop.get());
  std::string bytes(2 * kSectorSize, '\0');
  ASSERT_TRUE((*disk->open_queue({}))->read(Sectors{1}, std::as_writable_bytes(std::span(bytes))));
  const auto status = devices_->status()[0];
  EXPECT_EQ(status.stats.of(Operation::kRead).bytes, bytes.size());
  EXPECT_EQ(status.capacity.count, 4U);
  EXPECT_FALSE(status.ring);
}

TEST_F(NamedDevicesTest, AReloadTakesNamesAwayAndAddsOthers) {
  put("a.img", 2);
  put("b.img", 3);
  put("c.img", 4);
  start({{"a", raw("a.img")}, {"b", raw("b.img")}});
  EXPECT_EQ(events_.next(), "+a 2");
  EXPECT_EQ(events_.next(), "+b 3");
  const auto named = [&](const char* name, const char* image) {
    return NamedDisk{.name = name, .uri = raw(image), .read_only = true, .place = "x:1"};
  };
  devices_->reload({named("a", "c.img"), named("d", "a.img"), named("e", "later.img")});
  EXPECT_EQ(events_.next(), "-a");
  EXPECT_EQ(events_.next(), "-b");
  EXPECT_EQ(events_.next(), "+a 4");
  EXPECT_EQ(events_.next(), "+d 2");
  put("later.img", 5);
  EXPECT_EQ(events_.next(), "+e 5");
  EXPECT_EQ(devices_->status().size(), 3U);
  const UniqueFd stop(::eventfd(0, EFD_CLOEXEC));
  EXPECT_EQ(devices_->wait_for("b", stop.get()).error().code, Errc::kNotFound);
}

TEST_F(NamedDevicesTest, AReloadOpensAgainWhatWasWrittenToInPlaceAndNothingElse) {
  put("a.img", 2);
  put("b.img", 3);
  start({{"a", raw("a.img")}, {"b", raw("b.img")}});
  EXPECT_EQ(events_.next(), "+a 2");
  EXPECT_EQ(events_.next(), "+b 3");
  std::ofstream(file("b.img"), std::ios::binary | std::ios::app) << std::string(512, 'y');
  EXPECT_TRUE(events_.empty()) << "whoever writes may not be done";
  devices_->reload({{.name = "a", .uri = raw("a.img"), .read_only = true, .place = "x:1"},
                    {.name = "b", .uri = raw("b.img"), .read_only = true, .place = "x:2"}});
  EXPECT_EQ(events_.next(), "-b");
  EXPECT_EQ(events_.next(), "+b 4");
  EXPECT_TRUE(events_.empty());
}

TEST_F(NamedDevicesTest, WhoWaitsForANameThatIsTakenAwayLearnsSo) {
  start({{"a", raw("a.img")}});
  const UniqueFd stop(::eventfd(0, EFD_CLOEXEC));
  std::thread later([&] { devices_->reload({}); });
  EXPECT_EQ(devices_->wait_for("a", stop.get()).error().code, Errc::kNotFound);
  later.join();
}

TEST_F(NamedDevicesTest, ACompressedImageComesAndGoesWithItsFile) {
  start({{"a", "archive:" + file("a.gz").string()}});
  put("a.gz", 2);
  EXPECT_EQ(events_.next(), "+a 2");
  fs::remove(file("a.gz"));
  EXPECT_EQ(events_.next(), "-a");
}

TEST_F(NamedDevicesTest, AWaitEndsWhenTheProgramDoes) {
  start({{"a", raw("a.img")}});
  const UniqueFd stop(::eventfd(1, EFD_CLOEXEC));
  EXPECT_EQ(devices_->wait_for("a", stop.get()).error().code, Errc::kClosed);
  EXPECT_EQ(devices_->wait_for("b", stop.get()).error().code, Errc::kNotFound);
}

TEST_F(NamedDevicesTest, ADiskThatWasUnpluggedIsStillItsHoldersOwn) {
  put("a.img", 2);
  start({{"a", raw("a.img")}});
  const UniqueFd stop(::eventfd(0, EFD_CLOEXEC));
  const auto disk = *devices_->wait_for("a", stop.get());
  EXPECT_EQ(events_.next(), "+a 2");
  fs::remove(file("a.img"));
  EXPECT_EQ(events_.next(), "-a");
  std::string sector(kSectorSize, '\0');
  const auto lane = *disk->open_queue({});
  EXPECT_TRUE(lane->read(Sectors{1}, std::as_writable_bytes(std::span(sector))));
}

}  // namespace
}  // namespace splitring::tools
