// How a person, a store node or a configuration names a disk:
// SCHEME:TARGET[#PARTITION][?OPTION=VALUE&...].
//
//   raw:/srv/a.img?direct=on&mode=r       mem:64M?block=4096       raw:/srv/stick.img#1
//
// The scheme is the format. It is never guessed from the disk's bytes, which a guest writes (B36),
// nor from the file's name. No shell, no escapes: the target is taken as it stands, and control
// characters (NUL, newline) are refused (B35). The first '?' starts the options, so a target cannot
// contain one; nor can it end in '#' and a number, which is a partition of that disk
// (blkimage/partition_table.h). Which paths are allowed is the business of whoever calls.
#pragma once

#include <functional>
#include <initializer_list>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "blkimage/block_device.h"

namespace splitring {

struct DiskUri {
  struct Option {
    std::string name;
    std::string value;
  };
  std::string scheme;
  std::string target;
  uint32_t partition = 0;       // 0: the whole disk
  std::vector<Option> options;  // no name twice
};

// kInvalid, with what a person should write instead.
Result<DiskUri> parse_disk_uri(std::string_view text);

// Takes the options of a URI one by one, and in the end refuses what nobody took, naming what is
// known. `uri` outlives it.
class UriOptions {
 public:
  explicit UriOptions(const DiskUri& uri) : uri_(uri), taken_(uri.options.size()) {}

  // The index in `choices` of the option's value; nothing if it was not given.
  Result<std::optional<size_t>> choose(std::string_view name,
                                       std::initializer_list<std::string_view> choices);
  // For a choice of "on" and "off".
  Result<bool> on_off(std::string_view name, bool otherwise);
  // A decimal from `least` to `most`; nothing if it was not given.
  Result<std::optional<uint64_t>> number(std::string_view name, uint64_t least, uint64_t most);
  // kInvalid if an option is left.
  Result<> all_taken() const;

 private:
  // Its value, marked as taken; null if it was not given. `form` is for messages.
  const std::string* take(std::string_view name, std::string_view form);

  const DiskUri& uri_;
  std::vector<bool> taken_;
  std::string known_;  // "direct=on|off|auto, mode=r|w"
};

struct OpenOptions {
  // The disk is opened for reading only, whatever the URI says.
  bool read_only = false;
};

// What can be opened: this room's images, and what a program adds. Const once it is set up, and
// then safe to use from any thread if its factories are.
class DiskSchemes {
 public:
  using Factory =
      std::function<Result<std::unique_ptr<BlockDevice>>(const DiskUri&, const OpenOptions&)>;

  // raw: and mem:.
  static DiskSchemes images();

  // `form` is what messages show: "raw:PATH". A scheme that is there already is replaced.
  void add(std::string scheme, std::string form, Factory factory);

  // Errors name the disk.
  Result<std::unique_ptr<BlockDevice>> open(std::string_view uri, const OpenOptions& options) const;

 private:
  struct Entry {
    std::string scheme;
    std::string form;
    Factory factory;
  };
  [[nodiscard]] std::string known_forms() const;

  std::vector<Entry> entries_;
};

}  // namespace splitring
