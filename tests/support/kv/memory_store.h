// A store over a map, for tests of what stands upon stores: as simple as it gets, with faults.
#pragma once

#include <map>
#include <string>

#include "kv/read_store.h"

namespace splitring::test {

class MemoryStore final : public kv::ReadStore {
 public:
  // Directories end in '/'; others are values, and imply the dictionaries above them.
  explicit MemoryStore(std::map<std::string, std::string> values) : values_(std::move(values)) {}

  // From here on reads of values fail.
  void break_medium() { broken_ = true; }

 private:
  Result<std::optional<kv::Entry>> do_find(const std::string& key) override;
  Result<std::vector<kv::Child>> do_list(const std::string& key) override;
  Result<std::unique_ptr<kv::Value>> do_open(const std::string& key) override;

  std::map<std::string, std::string> values_;
  bool broken_ = false;
};

}  // namespace splitring::test
