#include "xenbus/host.h"

#include <unistd.h>

#include <cstdlib>
#include <string>

#include "base/parse.h"
#include "xenbus/emulated_host.h"
#include "xenbus/xen_host.h"

namespace splitring {
namespace {

// Unset and empty are the same.
std::optional<std::string> environment(const char* name) {
  const char* value = std::getenv(name);
  if (value == nullptr || *value == '\0') return std::nullopt;
  return value;
}

Result<std::optional<DomId>> wanted_domain(const HostOptions& options) {
  if (options.domain) return options.domain;
  const auto text = environment("SPLITRING_DOMAIN");
  if (!text) return std::optional<DomId>();
  const auto number = parse_decimal(*text, kFirstReservedDomId - 1);
  if (!number)
    return fail(Errc::kInvalid, "SPLITRING_DOMAIN=" + *text + ": not the number of a domain");
  return std::optional(DomId{static_cast<uint16_t>(*number)});
}

Result<std::unique_ptr<Host>> open_xen(std::optional<DomId> wanted) {
  auto host = TRY(XenHost::open());
  if (wanted && *wanted != host->domain())
    return fail(Errc::kInvalid, "on Xen this is domain " + std::to_string(raw(host->domain())) +
                                    " and cannot speak for domain " + std::to_string(raw(*wanted)));
  return host;
}

}  // namespace

Result<std::unique_ptr<Host>> open_host(const HostOptions& options) {
  const auto domain = TRY(wanted_domain(options));
  const auto directory = emulated_directory(options);
  if (!directory) return open_xen(domain);
  return EmulatedHost::open(*directory, domain.value_or(DomId{0}));
}

std::optional<std::filesystem::path> emulated_directory(const HostOptions& options) {
  if (options.emulated) return options.emulated;
  if (const auto directory = environment("SPLITRING_HOST")) return *directory;
  if (runs_on_xen()) return std::nullopt;
  return default_emulated_directory();
}

std::filesystem::path default_emulated_directory() {
  if (::geteuid() == 0) return "/run/splitring";
  if (const auto runtime = environment("XDG_RUNTIME_DIR"))
    return std::filesystem::path(*runtime) / "splitring";
  // Safe though foreseeable: EmulatedMachine takes only a directory of its own user.
  return std::filesystem::temp_directory_path() / ("splitring-" + std::to_string(::geteuid()));
}

}  // namespace splitring
