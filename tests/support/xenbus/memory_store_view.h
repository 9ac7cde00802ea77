// A store in a map, for what only reads and writes nodes. No permissions, no transactions, no
// watches: the real server is tested elsewhere. One thread.
#pragma once

#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "xenbus/store.h"

namespace splitring {

class MemoryStoreView final : public StoreView {
 public:
  Result<std::string> read(const std::string& path) override {
    if (failing_path_ == path) return fail(Errc::kClosed, path + ": the store has gone");
    const auto node = nodes_.find(path);
    if (node == nodes_.end()) return fail(Errc::kNotFound, path);
    return node->second;
  }

  Result<std::vector<std::string>> list(const std::string& path) override {
    std::vector<std::string> names;
    const std::string prefix = path + "/";
    for (const auto& [node, value] : nodes_) {
      if (!node.starts_with(prefix)) continue;
      std::string name = node.substr(prefix.size(), node.find('/', prefix.size()) - prefix.size());
      if (names.empty() || names.back() != name) names.push_back(std::move(name));
    }
    if (names.empty() && !nodes_.contains(path)) return fail(Errc::kNotFound, path);
    return names;
  }

  Result<> write(const std::string& path, std::string_view value) override {
    nodes_[path] = std::string(value);
    return {};
  }

  Result<> make_directory(const std::string& path) override { return write(path, ""); }

  Result<> remove(const std::string& path) override {
    std::erase_if(nodes_, [&](const auto& node) {
      return node.first == path || node.first.starts_with(path + "/");
    });
    return {};
  }

  Result<std::vector<StorePermission>> permissions(const std::string& path) override {
    return fail(Errc::kUnsupported, path);
  }
  Result<> set_permissions(const std::string& path, const std::vector<StorePermission>&) override {
    return fail(Errc::kUnsupported, path);
  }

  // For tests: all there is, and a node whose reading fails.
  [[nodiscard]] const std::map<std::string, std::string>& nodes() const { return nodes_; }
  void fail_reading(std::string path) { failing_path_ = std::move(path); }

 private:
  std::map<std::string, std::string> nodes_;
  std::string failing_path_;
};

}  // namespace splitring
