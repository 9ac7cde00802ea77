#include "tests/support/fs/fat_power_cut.h"

#include <algorithm>
#include <cstdlib>
#include <random>
#include <set>

#include "blkimage/memory_disk.h"
#include "fs/fat/fat_check.h"

namespace splitring::test {
namespace {

std::vector<std::byte> formatted(uint64_t bytes, const FatFormat& format) {
  auto disk = std::move(*MemoryDisk::create(Sectors::from_bytes(bytes)));
  auto lane = std::move(*disk->open_queue({}));
  if (!format_fat(*lane, format)) std::abort();
  std::vector<std::byte> image(bytes);
  if (!lane->read({0}, image)) std::abort();
  return image;
}

// What is made while a volume is recovered, beside the workload's.
const std::string kMeanwhile = "meanwhile";

void require(const Result<>& result, const char* what) {
  if (result) return;
  std::fprintf(stderr, "fat workload: %s: %s\n", what, result.error().what.c_str());
  std::abort();
}

}  // namespace

FatCutWorkload::FatCutWorkload(uint64_t bytes, const FatFormat& format) {
  auto disk = std::move(*PowerCutDisk::create(formatted(bytes, format)));
  disk_ = disk.get();
  volume_ = std::make_unique<FatTestVolume>(std::move(disk), FatOptions{.utc = true});
  states_.push_back({});
  floors_.emplace_back(0, 0);
}

std::string FatCutWorkload::content(size_t bytes) {
  std::string text;
  while (text.size() < bytes)
    text += "<" + std::to_string(next_content_) + ":" + std::to_string(text.size()) + ">";
  next_content_++;
  text.resize(bytes);
  return text;
}

void FatCutWorkload::begin() { begun_at_ = disk_->events(); }
void FatCutWorkload::done(Tree tree) { states_.push_back({std::move(tree), begun_at_}); }

void FatCutWorkload::put(const std::string& path, size_t bytes) {
  begin();
  const std::string text = content(bytes);
  // Between is a file without bytes.
  Tree tree = this->tree();
  if (tree.contains(path) || volume_->put(path, "")) {
    tree[path] = "";
    done(tree);
  }
  if (volume_->put(path, text)) {
    tree[path] = text;
    done(tree);
  }
}

void FatCutWorkload::append(const std::string& path, size_t bytes) {
  begin();
  const std::string text = content(bytes);
  const FatNode file = volume_->node(path);
  require(volume_->volume().open_file(volume_->lane(), file), "open");
  const auto written =
      volume_->volume().append(volume_->lane(), file, std::as_bytes(std::span(text)));
  require(volume_->volume().close_file(volume_->lane(), file), "close");
  volume_->volume().forget(file);
  if (!written) return;
  Tree tree = this->tree();
  tree[path] += text;
  done(tree);
}

void FatCutWorkload::truncate(const std::string& path, size_t bytes) {
  begin();
  const FatNode file = volume_->node(path);
  require(volume_->volume().open_file(volume_->lane(), file), "open");
  const auto cut = volume_->volume().truncate(volume_->lane(), file, bytes);
  require(volume_->volume().close_file(volume_->lane(), file), "close");
  volume_->volume().forget(file);
  if (!cut) return;
  Tree tree = this->tree();
  tree[path].resize(bytes);
  done(tree);
}

void FatCutWorkload::remove(const std::string& path) {
  begin();
  require(volume_->remove(path), "remove");
  Tree tree = this->tree();
  tree.erase(path);
  done(tree);
}

void FatCutWorkload::mkdir(const std::string& path) {
  begin();
  if (!volume_->mkdir(path)) return;
  Tree tree = this->tree();
  tree[path + "/"] = "/";
  done(tree);
}

void FatCutWorkload::rmdir(const std::string& path) {
  begin();
  if (!volume_->rmdir(path)) return;
  Tree tree = this->tree();
  tree.erase(path + "/");
  done(tree);
}

void FatCutWorkload::rename(const std::string& from, const std::string& to) {
  begin();
  if (!volume_->rename(from, to)) return;
  Tree tree;
  for (const auto& [path, text] : this->tree()) {
    if (path == from)
      tree[to] = text;
    else if (path.starts_with(from + "/"))
      tree[to + path.substr(from.size())] = text;
    else if (path != to && path != to + "/")
      tree[path] = text;
  }
  done(tree);
}

void FatCutWorkload::sync() {
  require(volume_->volume().sync(volume_->lane()), "sync");
  floors_.emplace_back(disk_->events(), states_.size() - 1);
}

void FatCutWorkload::random(uint32_t seed, int operations) {
  std::mt19937 random(seed);
  const std::vector<std::string> directories = {"", "d/", "a directory with a long name/"};
  const std::vector<std::string> names = {"A",
                                          "b.txt",
                                          "A name of several slots.text",
                                          "Another name, longer than the first one",
                                          std::string(140, 'n'),
                                          std::string(250, 'L')};
  const auto any_path = [&] {
    return directories[random() % directories.size()] + names[random() % names.size()];
  };
  const auto parent_exists = [&](const std::string& path) {
    const size_t slash = path.rfind('/');
    return slash == std::string::npos || tree().contains(path.substr(0, slash + 1));
  };
  for (int i = 0; i < operations; i++) {
    const std::string path = any_path();
    const bool there = tree().contains(path);
    switch (random() % 12) {
      case 0: sync(); break;
      case 1: mkdir(random() % 2 == 0 ? "d" : "a directory with a long name"); break;
      case 2: rmdir(random() % 2 == 0 ? "d" : "a directory with a long name"); break;
      case 3:
      case 4:
        if (there) remove(path);
        break;
      case 5:
        if (there) append(path, random() % 5000);
        break;
      case 6:
        if (there) truncate(path, tree().at(path).size() * (random() % 3) / 3);
        break;
      case 7:
      case 8: {
        const std::string to = any_path();
        if (there && parent_exists(to) && to != path) rename(path, to);
        break;
      }
      default:
        if (parent_exists(path)) put(path, random() % 6000);
    }
  }
  sync();
}

std::string FatCutWorkload::judge(FatTestVolume& volume, size_t moment) const {
  size_t first = 0;
  for (const auto& [events, state] : floors_)
    if (events <= moment) first = std::max(first, state);
  size_t last = first;
  while (last + 1 < states_.size() && states_[last + 1].begun_at <= moment) last++;

  Tree found;
  for (const std::string& path : volume.tree())
    found[path] = path.ends_with('/') ? "/" : volume.get(path);
  for (const auto& [path, text] : found) {
    if (path.starts_with(kMeanwhile)) continue;
    bool was = false;
    for (size_t i = first; i <= last && !was; i++) {
      const auto then = states_[i].tree.find(path);
      was = then != states_[i].tree.end() && then->second == text;
    }
    if (!was)
      return "'" + path + "' is there with " + std::to_string(text.size()) +
             " bytes as it never was: " + text.substr(0, 60);
  }
  for (const auto& entry : states_[first].tree) {
    // By name: clang 14 lets no lambda take a structured binding.
    const std::string& path = entry.first;
    const std::string& text = entry.second;
    bool always = true;
    bool text_always = !text.empty() && text != "/";
    for (size_t i = first; i <= last; i++) {
      always = always && states_[i].tree.contains(path);
      text_always = text_always && std::ranges::any_of(states_[i].tree, [&](const auto& item) {
                      return item.second == text;
                    });
    }
    if (always && !found.contains(path)) return "'" + path + "' is missing";
    const auto copies =
        std::ranges::count_if(found, [&](auto& item) { return item.second == text; });
    if (text_always && copies != 1)
      return "the content of '" + path + "' is there " + std::to_string(copies) + " times";
  }
  return "";
}

namespace {

// One sector of one write that no flush covers yet.
struct Unit {
  uint64_t offset;
  std::span<const std::byte> bytes;
};

class Cutter {
 public:
  Cutter(const FatCutWorkload& workload, const FatCutLimits& limits)
      : workload_(workload), limits_(limits), random_(limits.seed) {}

  FatCutResult run() {
    const PowerCutDisk& disk = workload_.disk();
    durable_ = disk.image_keeping_all(0);
    std::vector<PowerCutDisk::Event> pending;
    for (size_t i = 0; i < disk.events() && result_.failure.empty(); i++) {
      if (result_.images >= limits_.images) break;
      PowerCutDisk::Event event = disk.event(i);
      if (event.is_flush) {
        subsets(pending, i);
        for (const auto& done : pending) apply(durable_, done);
        pending.clear();
      } else {
        pending.push_back(std::move(event));
        std::vector<std::byte> image = durable_;
        for (const auto& done : pending) apply(image, done);
        consider(std::move(image), i + 1);
      }
    }
    return result_;
  }

 private:
  static void apply(std::vector<std::byte>& image, const PowerCutDisk::Event& event) {
    std::ranges::copy(event.bytes,
                      image.begin() + static_cast<std::ptrdiff_t>(event.first.bytes()));
  }

  void subsets(const std::vector<PowerCutDisk::Event>& pending, size_t moment) {
    std::vector<Unit> units;
    for (const auto& event : pending) {
      for (size_t at = 0; at < event.bytes.size(); at += kSectorSize) {
        const auto bytes = std::span(event.bytes).subspan(at, kSectorSize);
        const uint64_t offset = event.first.bytes() + at;
        // A sector that stays as it is makes no difference.
        if (!std::ranges::equal(bytes, std::span(durable_).subspan(offset, kSectorSize)))
          units.push_back({offset, bytes});
      }
    }
    const auto keep = [&](auto&& survives) {
      if (result_.images >= limits_.images) return;
      std::vector<std::byte> image = durable_;
      for (size_t i = 0; i < units.size(); i++)
        if (survives(i))
          std::ranges::copy(units[i].bytes,
                            image.begin() + static_cast<std::ptrdiff_t>(units[i].offset));
      consider(std::move(image), moment);
    };
    if (units.size() <= limits_.exhaustive_sectors) {
      for (uint64_t set = 0; set < uint64_t{1} << units.size(); set++)
        keep([&](size_t i) { return (set >> i & 1) != 0; });
      return;
    }
    for (size_t sample = 0; sample < limits_.samples_per_epoch; sample++) {
      const uint64_t share = 1 + random_() % 15;  // of sixteen
      keep([&](size_t) { return random_() % 16 < share; });
    }
  }

  void fail(const std::string& what, size_t moment) {
    result_.failure = "cut at event " + std::to_string(moment) + ", image " +
                      std::to_string(result_.images) + ": " + what;
  }

  void consider(std::vector<std::byte> image, size_t moment) {
    if (!result_.failure.empty() || result_.images >= limits_.images) return;
    const std::string_view bytes(reinterpret_cast<const char*>(image.data()), image.size());
    if (!seen_.insert(std::hash<std::string_view>{}(bytes)).second) return;
    result_.images++;
    auto disk = std::move(*MemoryDisk::create(Sectors::from_bytes(image.size())));
    auto lane = std::move(*disk->open_queue({}));
    if (!lane->write({0}, image)) return fail("the image cannot be written", moment);
    const auto raw = check_fat(*lane, FatRepair::kNothing);
    if (!raw) return fail(raw.error().what, moment);
    if (raw->damage != 0) return fail("damage before recovery: " + first_damage(*raw), moment);
    lane.reset();
    // Every other one is looked at while it is put in order.
    FatTestVolume volume(std::move(disk), {.utc = true, .recover_later = result_.images % 2 == 0});
    std::string wrong = workload_.judge(volume, moment);
    if (!wrong.empty()) return fail(wrong, moment);
    recover(volume);
    volume.close();
    const auto report = check_fat(volume.lane(), FatRepair::kNothing);
    if (!report) return fail(report.error().what, moment);
    if (!report->findings.empty())
      return fail("after recovery: " + report->findings[0].what, moment);
    if (result_.images % limits_.recut_every == 0)
      cut_recovery(image, moment, result_.images / limits_.recut_every % 2 == 0);
    if (!result_.failure.empty() || result_.images % limits_.fsck_every != 0) return;
    result_.judged_by_fsck++;
    wrong = volume.fsck();
    if (!wrong.empty()) fail("fsck.fat: " + wrong, moment);
  }

  static bool recover_some(FatTestVolume& volume) {
    const auto more = volume.volume().recover_some(volume.lane());
    if (!more) require(tl::make_unexpected(more.error()), "recovery");
    return more && *more;
  }
  static void recover(FatTestVolume& volume) {
    while (recover_some(volume)) continue;
  }

  // Uses the volume while it is put in order. The path of a file that is durable then; empty: there
  // was no room for it.
  std::string use_meanwhile(FatTestVolume& volume) {
    const auto some = [&] {
      for (auto i = random_() % 3; i > 0; i--) recover_some(volume);
    };
    const std::string path = kMeanwhile + "/" + std::string(200, 'm');
    some();
    const bool put = volume.put(kMeanwhile + " made", kMeanwhile).has_value();
    some();
    const bool made = volume.mkdir(kMeanwhile).has_value();
    some();
    const bool moved = put && made && volume.rename(kMeanwhile + " made", path);
    some();
    require(volume.volume().sync(volume.lane()), "sync");
    return moved ? path : "";
  }

  // The power goes again while the volume is put in order, `used` by somebody or not: what it says
  // of its files stays the same.
  void cut_recovery(const std::vector<std::byte>& image, size_t moment, bool used) {
    auto disk = std::move(*PowerCutDisk::create(image));
    const PowerCutDisk& recorded = *disk;
    FatTestVolume first(std::move(disk), {.utc = true, .recover_later = used});
    const std::string made = used ? use_meanwhile(first) : "";
    const size_t made_at = recorded.events();
    recover(first);
    require(first.volume().sync(first.lane()), "sync");
    for (size_t event = 1; event <= recorded.events(); event++) {
      const std::vector<std::byte> torn = recorded.image_torn(event, random_());
      auto again = std::move(*MemoryDisk::create(Sectors::from_bytes(torn.size())));
      if (!(*again->open_queue({}))->write({0}, torn)) return fail("no second image", moment);
      FatTestVolume second(std::move(again), {.utc = true});
      const std::string wrong = workload_.judge(second, moment);
      if (!wrong.empty()) return fail("cut again in recovery: " + wrong, moment);
      if (!made.empty() && event >= made_at && second.get(made) != kMeanwhile)
        return fail("what was made during recovery is missing", moment);
      second.close();
      const auto report = check_fat(second.lane(), FatRepair::kNothing);
      if (!report || !report->findings.empty())
        return fail("something is left of a recovery that was cut", moment);
      result_.recovery_cuts++;
    }
  }

  static std::string first_damage(const FatReport& report) {
    for (const FatFinding& finding : report.findings)
      if (finding.is_damage) return finding.what;
    return "";
  }

  const FatCutWorkload& workload_;
  const FatCutLimits limits_;
  std::mt19937 random_;
  std::vector<std::byte> durable_;
  std::unordered_set<uint64_t> seen_;
  FatCutResult result_;
};

}  // namespace

FatCutResult cut_everywhere(const FatCutWorkload& workload, const FatCutLimits& limits) {
  return Cutter(workload, limits).run();
}

}  // namespace splitring::test
