// A directory of the host as `splitring crunch` takes it in: every file and directory below it, by
// key. Links count as what they lead to, which must lie inside; whatever else there is (links that
// lead out, devices, pipes) is refused by name: what is compiled in is what was meant.
//
// Names are any bytes that the file system takes. One thread.
#pragma once

#include <functional>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "base/result.h"
#include "base/unique_fd.h"
#include "kv/compiled_image.h"

namespace splitring::tools {

// More files and directories than that are a mistake, or links that double at each level.
inline constexpr size_t kMaxCrunched = 4'000'000;

class CrunchTree {
 public:
  // Errors: kNotFound, kPermission: of the directory.
  static Result<CrunchTree> open(const std::string& directory);

  // Reads all of it once. Times are `modified_s`, or unknown: those of files differ from one copy
  // of the directory to the next. Errors name the file.
  Result<std::vector<kv::CompiledMember>> walk(std::optional<int64_t> modified_s) const;

  using Sink = std::function<Result<>(std::span<const std::byte>)>;
  // Reads a value's bytes again. kConflict: they are not what walk() read.
  Result<> read(const kv::CompiledMember& value, const Sink& sink) const;

 private:
  struct Level {
    std::string key;
    std::vector<std::pair<dev_t, ino_t>> above;  // itself last
  };
  CrunchTree(std::string name, UniqueFd directory)
      : name_(std::move(name)), directory_(std::move(directory)) {}

  Result<UniqueFd> open_below(const std::string& key, uint64_t flags) const;
  Result<std::vector<std::string>> names_in(const std::string& key) const;
  Result<kv::CompiledMember> read_value(const std::string& key, const Sink& sink) const;
  Result<> take(const std::string& key, const Level& level, std::vector<Level>& todo,
                std::vector<kv::CompiledMember>& members) const;
  [[nodiscard]] std::string place(const std::string& key) const;

  std::string name_;
  UniqueFd directory_;
};

}  // namespace splitring::tools
