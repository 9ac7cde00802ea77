#include "tools/splitring/mount/mount_options.h"

#include <algorithm>
#include <array>
#include <charconv>

#include "tools/common/program.h"

namespace splitring::tools {
namespace {

constexpr const char* kKnown =
    "ro, rw, uid=N, gid=N, umask=MODE, fmask=MODE, dmask=MODE, allow_other, tz=UTC, discard, "
    "noexec, noatime, nodiratime, relatime, sync";

// Passed on; nosuid and nodev always are.
constexpr std::array kKernel{"noexec", "noatime", "nodiratime", "relatime", "sync"};
// True already, or of no meaning here: what mount(8) and fstab add.
constexpr std::array kTaken{"defaults", "rw",     "nosuid", "nodev",  "exec",   "async",
                            "auto",     "noauto", "user",   "nofail", "_netdev"};

Result<uint32_t> number(std::string_view name, std::string_view text, int base, uint32_t most) {
  uint32_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value, base);
  if (error != std::errc() || end != text.data() + text.size() || value > most)
    return fail(Errc::kInvalid, std::string(name) + "=" + printable(std::string(text)) +
                                    (base == 8 ? ": write an octal mode, 022 say"
                                               : ": write the number of a user or group"));
  return value;
}

Result<> take(MountOptions& options, std::string_view option) {
  const size_t equals = option.find('=');
  const std::string_view name = option.substr(0, equals);
  const std::string_view value =
      equals == std::string_view::npos ? std::string_view() : option.substr(equals + 1);
  const auto mask = [&] { return number(name, value, 8, 0777); };
  constexpr uint32_t kNobodyYet = 0xfffffffe;  // the largest id; the next one means "no change"
  if (option == "ro") {
    options.read_only = true;
  } else if (option == "allow_other") {
    options.others = true;
  } else if (option == "tz=UTC") {
    options.utc = true;
  } else if (option == "discard") {
    options.discard = true;
  } else if (name == "uid") {
    options.uid = TRY(number(name, value, 10, kNobodyYet));
  } else if (name == "gid") {
    options.gid = TRY(number(name, value, 10, kNobodyYet));
  } else if (name == "umask") {
    options.file_mask = options.directory_mask = TRY(mask());
  } else if (name == "fmask") {
    options.file_mask = TRY(mask());
  } else if (name == "dmask") {
    options.directory_mask = TRY(mask());
  } else if (std::ranges::find(kKernel, option) != kKernel.end()) {
    options.kernel.emplace_back(option);
  } else if (std::ranges::find(kTaken, option) == kTaken.end() && !option.starts_with("x-")) {
    return fail(Errc::kInvalid, "no option is called \"" + printable(std::string(option)) +
                                    "\"; there are " + kKnown);
  }
  return {};
}

}  // namespace

Result<> MountOptions::add(std::string_view list) {
  while (!list.empty()) {
    const size_t comma = std::min(list.find(','), list.size());
    if (comma != 0) TRY_VOID(take(*this, list.substr(0, comma)));
    list.remove_prefix(std::min(comma + 1, list.size()));
  }
  return {};
}

}  // namespace splitring::tools
