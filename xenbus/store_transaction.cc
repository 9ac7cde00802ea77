#include "xenbus/store_transaction.h"

#include <algorithm>

namespace splitring {

StoreResult<> StoreTransaction::access(const std::string& path) {
  if (accessed_.contains(path)) return {};
  if (accessed_.size() >= nodes_max_) return store_fail(StoreErrc::kNoSpace);
  accessed_.insert(path);
  return {};
}

void StoreTransaction::keep_previous(const std::string& path, const StoreNodePtr& node) {
  if (given_up_) return;
  previous_.emplace(path, node);  // the first form is the one of the beginning
  if (previous_.size() > nodes_max_) give_up();
}

void StoreTransaction::put(const std::string& path, StoreNodePtr node) {
  writes_.insert_or_assign(path, std::move(node));
}

void StoreTransaction::note_change(const std::string& path, bool exact_only) {
  if (changes_noted_.emplace(path, exact_only).second) changes_.emplace_back(path, exact_only);
}

bool StoreTransaction::conflicts() const {
  return given_up_ || std::ranges::any_of(accessed_, [this](const std::string& path) {
           return previous_.contains(path);
         });
}

bool StoreTransaction::writes_mention(DomId domain) const {
  return std::ranges::any_of(writes_, [domain](const auto& entry) {
    return entry.second && mentions(entry.second->permissions, domain);
  });
}

void StoreTransaction::give_up() {
  given_up_ = true;
  previous_.clear();
}

}  // namespace splitring
