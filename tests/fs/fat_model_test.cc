// A long random life of a volume, against a model of names and bytes; our checker and fsck.fat look
// at it between. Now and then it is not unmounted, and recovered while its life goes on.
//
// SPLITRING_FAT_OPERATIONS=N: so many (make check-fat-model: a million); SPLITRING_SEED=N.
#include <gtest/gtest.h>

#include <array>
#include <cstdlib>
#include <map>
#include <random>

#include "fs/fat/fat_check.h"
#include "fs/fat/fat_disk.h"
#include "tests/support/fs/fat_test_volume.h"

namespace splitring {
namespace {

uint64_t number_from(const char* variable, uint64_t otherwise) {
  const char* const text = std::getenv(variable);
  return text != nullptr ? std::strtoull(text, nullptr, 10) : otherwise;
}

class Life {
 public:
  Life(uint64_t bytes, const FatFormat& format, uint64_t seed)
      : volume_(bytes, format), random_(seed) {}

  void run(uint64_t operations) {
    const uint64_t between = std::max<uint64_t>(operations / 10, 50);
    for (uint64_t i = 1; i <= operations && !testing::Test::HasFailure(); i++) {
      step();
      if (i % between == 0) look();
    }
  }

 private:
  uint64_t below(uint64_t n) { return random_() % n; }

  static constexpr std::array kDirectories{"a",   "a/b",   "Long directory name", "c",
                                           "c/d", "c/d/e", "another directory"};
  std::string any_directory() { return kDirectories[below(kDirectories.size())]; }
  std::string any_path() {
    const std::string directory = below(4) == 0 ? "" : any_directory() + "/";
    const uint64_t kind = below(4);
    const std::string number = std::to_string(below(30));
    const std::string name = kind == 0   ? "F" + number
                             : kind == 1 ? "lower." + number
                             : kind == 2 ? "A long name of number " + number
                                         : std::string(100 + below(5) * 35, 'v') + number;
    return directory + name;
  }
  [[nodiscard]] bool parent_is_there(const std::string& path) const {
    const size_t slash = path.rfind('/');
    return slash == std::string::npos || files_.contains(path.substr(0, slash + 1));
  }
  std::string any_bytes() {
    std::string bytes(below(5) == 0 ? below(40'000) : below(1500), '\0');
    for (char& c : bytes) c = static_cast<char>(random_());
    return bytes;
  }

  void step() {
    if (below(3) == 0) {
      ASSERT_TRUE(volume_.volume().recover_some(volume_.lane()));
    }
    const std::string path = any_path();
    const bool there = files_.contains(path);
    const uint64_t dice = below(22);
    if (dice < 6 && parent_is_there(path)) return put(path);
    if (dice < 10 && there) {
      ASSERT_TRUE(volume_.remove(path));
      files_.erase(path);
    } else if (dice == 10) {
      const std::string directory = any_directory();
      if (files_.contains(directory + "/")) {
        const auto next = std::next(files_.find(directory + "/"));
        const bool empty = next == files_.end() || !next->first.starts_with(directory + "/");
        ASSERT_EQ(volume_.rmdir(directory).has_value(), empty) << directory;
        if (empty) files_.erase(directory + "/");
      } else if (parent_is_there(directory)) {
        if (volume_.mkdir(directory)) files_[directory + "/"] = "";
      }
    } else if (dice < 14 && there) {
      const std::string to = any_path();
      if (!parent_is_there(to)) return;
      const auto moved = volume_.rename(path, to);
      ASSERT_TRUE(moved || moved.error().code == Errc::kNoSpace) << moved.error().what;
      if (!moved || to == path) return;
      files_[to] = std::move(files_[path]);
      files_.erase(path);
    } else if (dice < 17 && there) {
      ASSERT_EQ(volume_.get(path), files_[path]) << path;
    } else if (dice == 17) {
      ASSERT_TRUE(volume_.volume().sync(volume_.lane()));
    } else if (dice == 18 && below(20) == 0) {
      volume_.close();
      volume_.mount();
    } else if (dice == 19) {
      move_directory();
    } else if (dice == 20 && below(8) == 0) {
      break_off();
    }
  }

  void move_directory() {
    const std::string from = any_directory() + "/";
    const std::string to = any_directory() + "/";
    const std::string to_name = to.substr(0, to.size() - 1);
    if (!files_.contains(from) || files_.contains(to) || !parent_is_there(to_name)) return;
    const auto moved = volume_.rename(from.substr(0, from.size() - 1), to_name);
    if (to.starts_with(from)) {
      ASSERT_FALSE(moved);
      return;
    }
    ASSERT_TRUE(moved || moved.error().code == Errc::kNoSpace) << moved.error().what;
    if (!moved) return;
    std::map<std::string, std::string> below;
    for (auto at = files_.lower_bound(from); at != files_.end() && at->first.starts_with(from);)
      below.insert(files_.extract(at++));
    for (auto& [path, bytes] : below) files_[to + path.substr(from.size())] = std::move(bytes);
  }

  // The power fails, after a sync; some clusters are lost by that.
  void break_off() {
    ASSERT_TRUE(volume_.volume().sync(volume_.lane()));
    {
      auto disk = std::move(*open_fat_disk(volume_.lane()));
      FatMap& map = disk->map();
      for (uint64_t i = below(20); i > 0; i--) {
        const FatRun run = map.take(static_cast<uint32_t>(1 + below(5)), 0);
        if (run.count == 0) break;
        ASSERT_TRUE(map.link(volume_.lane(), 0, run));
      }
      ASSERT_TRUE(map.write(volume_.lane()));
      ASSERT_TRUE(disk->write_state(volume_.lane(), true));
    }
    volume_.mount({.utc = true, .recover_later = below(4) != 0});
  }

  void put(const std::string& path) {
    const std::string bytes = any_bytes();
    const auto done = volume_.put(path, bytes);
    if (done) {
      files_[path] = bytes;
      return;
    }
    ASSERT_EQ(done.error().code, Errc::kNoSpace) << done.error().what;
    if (!volume_.exists(path)) return;
    ASSERT_TRUE(volume_.remove(path));
    files_.erase(path);
  }

  void look() {
    // What a recovery has not got to when the volume is closed the next mount begins anew.
    if (below(2) == 0) {
      while (std::move(*volume_.volume().recover_some(volume_.lane()))) continue;
    } else {
      volume_.close();
      volume_.mount();
    }
    volume_.close();
    const auto report = check_fat(volume_.lane(), FatRepair::kNothing);
    ASSERT_TRUE(report);
    ASSERT_EQ(report->findings.size(), 0U) << report->findings[0].what;
    ASSERT_EQ(volume_.fsck(), "");
    volume_.mount();
    std::vector<std::string> paths;
    for (const auto& [path, bytes] : files_) paths.push_back(path);
    ASSERT_EQ(volume_.tree(), paths);
  }

  test::FatTestVolume volume_;
  std::mt19937_64 random_;
  std::map<std::string, std::string> files_;
};

TEST(FatModel, ARandomLifeLeavesNothingThatFsckFinds) {
  const uint64_t seed = number_from("SPLITRING_SEED", 20);
  const uint64_t operations = number_from("SPLITRING_FAT_OPERATIONS", 6000);
  RecordProperty("seed", static_cast<int>(seed));
  SCOPED_TRACE("SPLITRING_SEED=" + std::to_string(seed));
  Life(1440 << 10, {}, seed).run(operations / 4);
  Life(8 << 20, {}, seed + 1).run(operations / 4);
  Life(40 << 20, {.type = FatType::kFat32}, seed + 2).run(operations / 4);
  // fsck.exfat reads no set that lies in three clusters: that takes clusters of 512 bytes.
  Life(4 << 20, {.type = FatType::kExfat, .cluster_bytes = 1024}, seed + 3).run(operations / 4);
}

}  // namespace
}  // namespace splitring
