// The walk of check_fat() over the tree: every directory, every entry, every chain.
#include <algorithm>
#include <set>

#include "fs/fat/fat_checker.h"

namespace splitring {

// The part of a directory's chain that is its own; what is wrong with it ends it there.
void FatChecker::claim_directory(Branch& branch) {
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
  branch.runs = chain.runs();
}

Result<> FatChecker::visit(BlockQueue& lane, Branch& branch) {
  findings_.report.directories++;
  if (branch.cluster != 0) {
    claim_directory(branch);
    if (branch.runs.empty()) return {};
  }
  FatSlotDirectory directory(geometry_, branch.runs);
  bool repairs = true;
  if (TRY(directory.load(lane)))
    repairs = findings_.add(FatWeight::kRemains,
                            branch.path + "/: something lies behind the directory's end");
  check_dots(branch, directory);
  TRY_VOID(check_slots(lane, branch, directory));
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

Result<> FatChecker::check_slots(BlockQueue& lane, const Branch& branch,
                                 FatSlotDirectory& directory) {
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
    check_size(branch, directory, i);
    TRY_VOID(check_entry(lane, branch, directory, set));
  }
  uint32_t end = covered;
  while (end < directory.slots() && !directory.slot(end).is_end()) end++;
  judge_long(end);
  return {};
}

void FatChecker::check_size(const Branch& branch, FatSlotDirectory& directory, uint32_t own) {
  FatSlot slot = directory.slot(own);
  if (!slot.is_directory() || slot.size == 0) return;
  const std::string name = fat_utf8(directory.name_of(directory.set_at(own))).value_or("?");
  if (!findings_.add(FatWeight::kDamage, branch.path + "/" + name + "/: a directory with a size"))
    return;
  slot.size = 0;
  directory.set_slot(own, slot);
}

Result<> FatChecker::check_entry(BlockQueue& /*lane*/, const Branch& branch,
                                 FatDirectory& directory, FatSet set) {
  const FatFacts facts = directory.facts(set.own);
  if (is_moving(branch, set, facts)) return {};
  const std::string path = branch.path + "/" + fat_utf8(directory.name_of(set)).value_or("?");
  if (facts.is_directory())
    check_directory(branch, path, directory, set);
  else
    check_file(path, directory, set);
  return {};
}

void FatChecker::check_directory(const Branch& branch, const std::string& path,
                                 FatDirectory& directory, FatSet set) {
  const uint32_t first = directory.facts(set.own).first_cluster;
  const bool nowhere = !geometry_.is_cluster(first);
  if (nowhere || is_owned(first) || has_branch(first) || branch.depth >= kDeepest) {
    const char* why = branch.depth >= kDeepest ? "lies too deep"
                      : nowhere                ? "begins nowhere"
                                               : "begins where another lies";
    if (findings_.add(FatWeight::kDamage, path + "/: the directory " + why)) {
      directory.erase_own(set);
      directory.erase_rest(set);
    }
    return;
  }
  const bool in_root = branch.depth == 0;
  add_branch({.path = path,
              .cluster = first,
              .parent = in_root ? 0 : branch.cluster,
              .depth = branch.depth + 1,
              .runs = {}});
}

void FatChecker::check_file(const std::string& path, FatDirectory& directory, FatSet set) {
  findings_.report.files++;
  FatFacts facts = directory.facts(set.own);
  const uint64_t needed = geometry_.clusters_for(facts.size);
  FatChain chain;
  if (facts.first_cluster != 0) chain = table_.follow(facts.first_cluster, needed + 1);
  uint64_t own = 0;
  while (own < std::min(chain.count(), needed) && claim(chain.at(own).first)) own++;
  const bool crossed = own < std::min(chain.count(), needed);
  const bool longer =
      !crossed && (chain.count() > needed || (needed == 0 && facts.first_cluster != 0));
  if (own == needed && !longer && chain.fault() == nullptr) return;
  // A chain may go on behind the end in any way: it was being cut, or made longer.
  if (own == needed) {
    if (!findings_.add(FatWeight::kRemains, path + ": clusters behind the end of the file")) return;
  } else {
    const std::string why = crossed                    ? "runs into another's"
                            : chain.fault() != nullptr ? chain.fault()
                                                       : "is too short for its size";
    if (!findings_.add(FatWeight::kDamage, path + ": its chain " + why)) return;
    facts.size = std::min<uint64_t>(facts.size, own * geometry_.cluster_bytes);
  }
  chain.cut(own);
  if (own != 0) table_.set(chain.last(), kFatEnd);
  if (own == 0) facts.first_cluster = 0;
  directory.update(set.own, facts);
}

}  // namespace splitring
