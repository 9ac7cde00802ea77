// The walk of check_exfat() over the tree: every directory, every set, every cluster.
#include <algorithm>
#include <set>

#include "fs/exfat/exfat_checker.h"

namespace splitring {
namespace {

uint8_t type_of(const FatSlot& slot) { return slot.name[0]; }
bool is_used_secondary(const FatSlot& slot) {
  constexpr uint8_t kBoth = kExfatInUse | kExfatSecondary;
  return (type_of(slot) & kBoth) == kBoth;
}

}  // namespace

// Takes as much of a file's clusters as is nobody else's and as its size needs.
Result<ExfatChecker::Claim> ExfatChecker::claim_file(BlockQueue& lane, const FatFacts& facts) {
  Claim claimed;
  const uint64_t needed = geometry_.clusters_for(facts.size);
  uint32_t cluster = facts.first_cluster;
  while (claimed.chain.count() < needed && cluster != kExfatEnd) {
    const char* fault = nullptr;
    if (!geometry_.is_cluster(cluster))
      fault = "leads out of the volume";
    else if (!claim(cluster))
      fault = "runs into another's";
    if (fault != nullptr) {
      claimed.chain.set_fault(fault);
      claimed.fault = fault;
      return claimed;
    }
    claimed.chain.append({cluster, 1});
    cluster = facts.contiguous ? cluster + 1 : TRY(map_.next(lane, cluster));
  }
  if (claimed.chain.count() < needed) claimed.fault = "is too short for its size";
  claimed.is_longer =
      claimed.chain.count() == needed &&
      (needed == 0 ? facts.first_cluster != 0 : !facts.contiguous && cluster != kExfatEnd);
  return claimed;
}

Result<> ExfatChecker::visit(BlockQueue& lane, Branch& branch) {
  findings_.report.directories++;
  if (branch.runs.empty()) return {};
  ExfatDirectory directory(geometry_, branch.runs, upcase_);
  bool repairs = true;
  if (TRY(directory.load(lane)))
    repairs = findings_.add(FatWeight::kRemains,
                            branch.path + "/: something lies behind the directory's end");
  std::set<std::u16string> names;
  for (uint32_t i = 0; i < directory.end_slot();) {
    const uint8_t type = type_of(directory.slot(i));
    if (type == kExfatFile) {
      const uint32_t behind = TRY(check_set(lane, branch, directory, i));
      const bool is_sound =
          type_of(directory.slot(i)) == kExfatFile && directory.fault_at(i) == nullptr;
      const auto name = is_sound ? directory.name_of(directory.set_at(i)) : std::u16string();
      if (is_sound && !names.insert(upcase_->folded(name)).second)
        findings_.add_unrepairable(branch.path + "/: two entries have the name '" +
                                   fat_utf8(name).value_or("?") + "'");
      i = behind;
    } else {
      i = check_stray(branch, directory, i);
    }
  }
  if (repairs && findings_.repairs() && directory.dirty()) TRY_VOID(directory.write_scrubbed(lane));
  return {};
}

// What is no file's. Returns where to go on.
uint32_t ExfatChecker::check_stray(const Branch& branch, ExfatDirectory& directory, uint32_t slot) {
  const uint8_t type = type_of(directory.slot(slot));
  uint32_t behind = slot + 1;
  const auto skip_secondaries = [&] {
    while (behind < directory.end_slot() && is_used_secondary(directory.slot(behind))) behind++;
  };
  if ((type & kExfatInUse) == 0) return behind;
  skip_secondaries();
  if (is_used_secondary(directory.slot(slot))) {
    if (findings_.add(FatWeight::kRemains, branch.path + "/: parts of an entry without its first"))
      for (uint32_t i = slot; i < behind; i++) directory.free_slot(i);
  } else if (branch.depth != 0 &&
             (type == kExfatBitmap || type == kExfatUpcase || type == kExfatLabel) &&
             findings_.add(FatWeight::kDamage,
                           branch.path + "/: an entry that only the root may have")) {
    directory.free_slot(slot);
  }
  return behind;
}

// Returns where to go on.
Result<uint32_t> ExfatChecker::check_set(BlockQueue& lane, const Branch& branch,
                                         ExfatDirectory& directory, uint32_t own) {
  const char* const fault = directory.fault_at(own);
  if (fault == nullptr) {
    const FatSet set = directory.set_at(own);
    TRY_VOID(check_entry(lane, branch, directory, set));
    return set.last + 1;
  }
  const bool mendable = directory.only_sums_are_wrong(own);
  const bool repairs = findings_.add(
      FatWeight::kDamage, branch.path + "/: an entry (slot " + std::to_string(own) + ") " + fault);
  if (mendable && repairs) {
    directory.renew_sums(own);
    return check_set(lane, branch, directory, own);
  }
  if (repairs) {
    directory.free_slot(own);
    return own + 1;  // its other parts are stray ones now
  }
  uint32_t behind = own + 1;
  while (behind < directory.end_slot() && is_used_secondary(directory.slot(behind))) behind++;
  return behind;
}

// Makes the facts fit what was claimed. True: they changed.
Result<bool> ExfatChecker::mend_facts(BlockQueue& lane, const std::string& path, FatFacts& facts,
                                      Claim& claim) {
  const FatFacts before = facts;
  const uint64_t held = claim.chain.count() * geometry_.cluster_bytes;
  const bool whole = claim.fault == nullptr;
  if (!whole && !findings_.add(FatWeight::kDamage, path + ": its chain " + claim.fault))
    return false;
  if (whole && claim.is_longer &&
      !findings_.add(FatWeight::kRemains, path + ": clusters behind the end of the file"))
    return false;
  if (!whole || claim.is_longer) {
    facts.size = std::min(facts.size, held);
    facts.valid = std::min(facts.valid, facts.size);
    if (claim.chain.count() == 0) facts.first_cluster = 0;
    if (claim.chain.count() == 0) facts.contiguous = false;
    if (claim.chain.count() != 0 && !facts.contiguous)
      TRY_VOID(map_.set_next(lane, claim.chain.last(), kExfatEnd));
  }
  bool called_free = false;
  for (const FatRun& run : claim.chain.runs()) called_free = called_free || !map_.is_owned(run);
  if (called_free &&
      findings_.add(FatWeight::kDamage, path + ": has clusters that are called free"))
    for (const FatRun& run : claim.chain.runs()) map_.own(run);
  return facts != before;
}

Result<> ExfatChecker::check_entry(BlockQueue& lane, const Branch& branch, FatDirectory& directory,
                                   FatSet set) {
  FatFacts facts = directory.facts(set.own);
  if (is_moving(branch, set, facts)) return {};
  const std::string path = branch.path + "/" + fat_utf8(directory.name_of(set)).value_or("?");
  const bool is_directory = facts.is_directory();
  const uint64_t whole = geometry_.clusters_for(facts.size) * geometry_.cluster_bytes;
  const bool odd = is_directory &&
                   (facts.size != whole || facts.valid != whole || whole > kExfatMaxDirectoryBytes);
  bool changed = false;
  if (odd && findings_.add(FatWeight::kDamage, path + "/: a directory of an odd size")) {
    facts.size = facts.valid = std::min<uint64_t>(whole, kExfatMaxDirectoryBytes);
    changed = true;
  }
  Claim claimed = TRY(claim_file(lane, facts));
  const bool nowhere = is_directory && (claimed.chain.count() == 0 || branch.depth >= kDeepest);
  if (nowhere && findings_.add(FatWeight::kDamage, path + "/: the directory begins nowhere")) {
    directory.erase_own(set);
    directory.erase_rest(set);
  }
  if (nowhere) return {};
  const bool mended = TRY(mend_facts(lane, path, facts, claimed));
  if (is_directory && mended) facts.valid = facts.size;
  if (changed || mended) directory.update(set.own, facts);
  if (!is_directory) {
    findings_.report.files++;
    return {};
  }
  add_branch({.path = path,
              .cluster = facts.first_cluster,
              .depth = branch.depth + 1,
              .runs = claimed.chain.runs()});
  return {};
}

}  // namespace splitring
