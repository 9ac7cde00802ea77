#include "tools/common/device_config.h"

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <optional>
#include <sstream>

#include "tools/common/disks.h"
#include "tools/common/program.h"

#define TOML_EXCEPTIONS 0
#include <toml++/toml.h>

namespace splitring::tools {
namespace {

constexpr size_t kMaxConfigBytes = size_t{1} << 20;

bool is_name(std::string_view name) {
  return !name.empty() && name.size() <= 32 &&
         name.find_first_not_of("abcdefghijklmnopqrstuvwxyz0123456789-_") == std::string_view::npos;
}

class ConfigReader {
 public:
  explicit ConfigReader(const std::string& path) : path_(path) {}

  Result<std::vector<NamedDisk>> read() {
    const toml::parse_result parsed = toml::parse(TRY(text()), path_);
    if (!parsed) return refuse(parsed.error().source(), std::string(parsed.error().description()));
    for (const auto& [key, node] : parsed.table()) {
      if (key.str() != "devices")
        return refuse(key.source(), printable(std::string(key.str())) +
                                        ": no such section; there is [devices] only");
    }
    const toml::node* const devices = parsed.table().get("devices");
    if (devices == nullptr || !devices->is_table())
      return fail(Errc::kInvalid, path_ + ": there is no section [devices]");
    std::vector<NamedDisk> disks;
    for (const auto& [key, node] : *devices->as_table()) {
      if (disks.size() == kMaxNamedDevices) return refuse(key.source(), "more than 64 devices");
      disks.push_back(TRY(device(key, node)));
    }
    return disks;
  }

 private:
  [[nodiscard]] tl::unexpected<Error> refuse(const toml::source_region& where,
                                             const std::string& why) const {
    return fail(Errc::kInvalid, path_ + ":" + std::to_string(where.begin.line) + ":" +
                                    std::to_string(where.begin.column) + ": " + why);
  }

  Result<std::string> text() const {
    std::error_code error;
    const auto bytes = std::filesystem::file_size(path_, error);
    if (error) return fail_errno(path_, error.value());
    if (bytes > kMaxConfigBytes) return fail(Errc::kLimit, path_ + ": longer than 1 MiB");
    std::ifstream file(path_, std::ios::binary);
    std::ostringstream content;
    content << file.rdbuf();
    if (!file) return fail(Errc::kIo, path_ + ": cannot be read");
    return content.str();
  }

  Result<NamedDisk> device(const toml::key& key, const toml::node& node) const {
    const std::string name(key.str());
    if (!is_name(name))
      return refuse(key.source(), printable(name) + ": a name is 1 to 32 of a-z, 0-9, - and _");
    NamedDisk disk{.name = name,
                   .uri = {},
                   .read_only = false,
                   .place = path_ + ":" + std::to_string(key.source().begin.line)};
    if (node.is_string()) {
      disk.uri = TRY(uri(name, node));
      return disk;
    }
    if (!node.is_table())
      return refuse(node.source(), name + " is neither a disk nor a table: write " + name +
                                       " = \"raw:PATH\" or " + name +
                                       " = { disk = \"vbd:xvda\", read_only = true }");
    TRY_VOID(fill(disk, *node.as_table()));
    if (disk.uri.empty()) return refuse(node.source(), name + " names no disk: add disk = \"...\"");
    return disk;
  }

  Result<> fill(NamedDisk& disk, const toml::table& table) const {
    for (const auto& [key, node] : table) {
      if (key.str() == "disk") {
        disk.uri = TRY(uri(disk.name + ".disk", node));
      } else if (key.str() == "read_only") {
        if (!node.is_boolean())
          return refuse(node.source(), disk.name + ".read_only is neither true nor false");
        disk.read_only = node.as_boolean()->get();
      } else {
        return refuse(key.source(), disk.name + "." + printable(std::string(key.str())) +
                                        ": no such setting; there are disk and read_only");
      }
    }
    return {};
  }

  // With the path of a file made absolute, from the directory of the configuration.
  Result<std::string> uri(const std::string& what, const toml::node& node) const {
    if (!node.is_string()) return refuse(node.source(), what + " is no string");
    const std::string& text = node.as_string()->get();
    auto absolute = absolute_disk_uri(text, std::filesystem::path(path_).parent_path());
    if (!absolute) return refuse(node.source(), what + ": " + printable(absolute.error().what));
    return absolute;
  }

  const std::string& path_;
};

}  // namespace

Result<std::vector<NamedDisk>> read_device_config(const std::string& path) {
  return ConfigReader(path).read();
}

}  // namespace splitring::tools
