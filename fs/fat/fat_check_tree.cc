// The walk of check_fat() over the tree: every directory, every entry, every chain.
#include <algorithm>
#include <set>

#include "fs/fat/fat_checker.h"

namespace splitring {
namespace {

// Far deeper than any path can be typed (a path of Windows has 260 characters).
constexpr uint32_t kDeepest = 512;

}  // namespace

bool FatChecker::claim(uint32_t cluster) {
  if (owned_[cluster]) return false;
  owned_[cluster] = true;
  return true;
}

Result<> FatChecker::walk(BlockQueue& lane) {
  while (!branches_.empty()) {
    const Branch branch = std::move(branches_.back());
    branches_.pop_back();
    TRY_VOID(visit(lane, branch));
  }
  return {};
}

// The part of a directory's chain that is its own; what is wrong with it ends it there.
std::vector<FatRun> FatChecker::claim_directory(const Branch& branch) {
  const uint64_t most = kFatMaxDirectoryBytes / geometry_.cluster_bytes;
  FatChain chain = table_.follow(branch.cluster, most + 1);
  const char* fault = chain.fault();
  if (chain.count() > most) {
    fault = "is longer than a directory may be";
    chain.cut(most);
  }
  uint64_t own = 0;
  for (; own < chain.count() && claim(chain.at(own).first); own++) {
  }
  if (own < chain.count()) {
    fault = "runs into another's";
    chain.cut(own);
  }
  if (fault != nullptr &&
      findings_.add(FatWeight::kDamage, branch.path + "/: its chain " + fault) && own != 0)
    table_.set(chain.last(), kFatEnd);
  return chain.runs();
}

Result<> FatChecker::visit(BlockQueue& lane, const Branch& branch) {
  findings_.report.directories++;
  std::vector<FatRun> runs;
  if (branch.cluster != 0) {
    runs = claim_directory(branch);
    if (runs.empty()) return {};
  }
  FatSlotDirectory directory(geometry_, std::move(runs));
  bool repairs = true;
  if (TRY(directory.load(lane)))
    repairs = findings_.add(FatWeight::kRemains,
                            branch.path + "/: something lies behind the directory's end");
  check_dots(branch, directory);
  check_slots(branch, directory);
  if (repairs && findings_.repairs() && directory.dirty()) TRY_VOID(directory.write_scrubbed(lane));
  return {};
}

void FatChecker::check_dots(const Branch& branch, FatSlotDirectory& directory) {
  if (branch.depth == 0) return;
  const auto check = [&](uint32_t index, std::string_view name, uint32_t cluster,
                         FatWeight weight) {
    FatSlot slot = directory.slot(index);
    const bool is_it =
        std::ranges::equal(std::span(slot.name).first(2), name) && slot.is_directory();
    if (is_it && first_cluster(slot) == cluster) return;
    const bool known = is_it || slot.is_free();
    if (!findings_.add(is_it ? weight : FatWeight::kDamage,
                       branch.path + "/" + std::string(name) + ": does not lead where it must") ||
        !known)
      return;
    slot.name.fill(' ');
    std::ranges::copy(name, slot.name.begin());
    slot.attributes = kFatDirectory;
    slot.size = 0;
    set_first_cluster(slot, cluster);
    directory.set_slot(index, slot);
  };
  check(0, ". ", branch.cluster, FatWeight::kDamage);
  check(1, "..", branch.parent, FatWeight::kRemains);
}

void FatChecker::check_slots(const Branch& branch, FatSlotDirectory& directory) {
  std::set<FatShortName> short_names;
  uint32_t covered = 0;  // slots below belong to an entry, or are judged
  const auto judge_long = [&](uint32_t until) {
    bool orphans = false;
    for (uint32_t i = covered; i < until; i++)
      orphans = orphans || (!directory.slot(i).is_free() && directory.slot(i).is_long());
    if (orphans &&
        findings_.add(FatWeight::kRemains, branch.path + "/: parts of a name without its entry"))
      for (uint32_t i = covered; i < until; i++)
        if (!directory.slot(i).is_free() && directory.slot(i).is_long()) directory.free_slot(i);
  };
  for (uint32_t i = 0; i < directory.slots() && !directory.slot(i).is_end(); i++) {
    const FatSlot& slot = directory.slot(i);
    if (slot.is_free() || slot.is_long()) continue;
    const bool is_dots = slot.is_dots() && branch.depth != 0 && i < 2;
    if (slot.is_label() || is_dots) {
      if (slot.is_label() && (branch.depth != 0 || slot.is_directory()))
        findings_.add(FatWeight::kDamage, branch.path + "/: a volume's label where none may be");
      judge_long(i);
      covered = i + 1;
      continue;
    }
    const FatSet set = directory.set_at(i);
    judge_long(set.first);
    covered = i + 1;
    if (!short_names.insert(slot.name).second)
      findings_.add(FatWeight::kDamage, branch.path + "/: two entries have the short name '" +
                                            fat_utf8(fat_shown(slot.name, 0)).value_or("?") + "'");
    if (slot.is_dots()) {
      findings_.add(FatWeight::kDamage, branch.path + "/: a name that begins with a dot");
      continue;
    }
    check_entry(branch, directory, set);
  }
  uint32_t end = covered;
  while (end < directory.slots() && !directory.slot(end).is_end()) end++;
  judge_long(end);
}

void FatChecker::check_entry(const Branch& branch, FatSlotDirectory& directory, FatSet set) {
  const FatSlot& slot = directory.slot(set.own);
  if ((slot.nt_bits & (kFatRenamedFrom | kFatRenamedTo)) != 0) {
    const bool is_source = (slot.nt_bits & kFatRenamedFrom) != 0;
    moved_.push_back({branch, set.own, first_cluster(slot), is_source});
    if (is_source) return;  // what it owns another may own by now
  }
  const std::string path = branch.path + "/" + fat_utf8(directory.name_of(set)).value_or("?");
  if (slot.is_directory())
    check_directory(branch, path, directory, set);
  else
    check_file(path, directory, set);
}

void FatChecker::check_directory(const Branch& branch, const std::string& path,
                                 FatSlotDirectory& directory, FatSet set) {
  FatSlot slot = directory.slot(set.own);
  const uint32_t first = first_cluster(slot);
  if (!geometry_.is_cluster(first) || owned_[first] || branch.depth >= kDeepest) {
    const char* why = branch.depth >= kDeepest       ? "lies too deep"
                      : !geometry_.is_cluster(first) ? "begins nowhere"
                                                     : "begins where another lies";
    if (findings_.add(FatWeight::kDamage, path + "/: the directory " + why)) {
      directory.erase_own(set);
      directory.erase_rest(set);
    }
    return;
  }
  if (slot.size != 0 && findings_.add(FatWeight::kDamage, path + "/: a directory with a size")) {
    slot.size = 0;
    directory.set_slot(set.own, slot);
  }
  const bool in_root = branch.depth == 0;
  branches_.push_back({.path = path,
                       .cluster = first,
                       .parent = in_root ? 0 : branch.cluster,
                       .depth = branch.depth + 1});
}

void FatChecker::check_file(const std::string& path, FatSlotDirectory& directory, FatSet set) {
  findings_.report.files++;
  FatSlot slot = directory.slot(set.own);
  const uint32_t first = first_cluster(slot);
  const uint64_t needed =
      (uint64_t{slot.size} + geometry_.cluster_bytes - 1) / geometry_.cluster_bytes;
  FatChain chain;
  if (first != 0) chain = table_.follow(first, needed + 1);
  uint64_t own = 0;
  while (own < std::min(chain.count(), needed) && claim(chain.at(own).first)) own++;
  const bool crossed = own < std::min(chain.count(), needed);
  const bool longer = !crossed && (chain.count() > needed || (needed == 0 && first != 0));
  if (own == needed && !longer && chain.fault() == nullptr) return;
  // A chain may go on behind the end in any way: it was being cut, or made longer.
  if (own == needed) {
    if (!findings_.add(FatWeight::kRemains, path + ": clusters behind the end of the file")) return;
  } else {
    const std::string why = crossed                    ? "runs into another's"
                            : chain.fault() != nullptr ? chain.fault()
                                                       : "is too short for its size";
    if (!findings_.add(FatWeight::kDamage, path + ": its chain " + why)) return;
    slot.size = static_cast<uint32_t>(std::min<uint64_t>(slot.size, own * geometry_.cluster_bytes));
  }
  chain.cut(own);
  if (own != 0) table_.set(chain.last(), kFatEnd);
  if (own == 0) set_first_cluster(slot, 0);
  directory.set_slot(set.own, slot);
}

}  // namespace splitring
