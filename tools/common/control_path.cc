#include "tools/common/control_path.h"

#include "xenbus/emulated_paths.h"

namespace splitring::tools {

std::filesystem::path control_path(const HostOptions& host, DomId domain) {
  constexpr const char* kName = "splitringd.control";
  const auto emulated = emulated_directory(host);
  if (!emulated) return std::filesystem::path("/run/splitring") / kName;
  return emulated_domain_directory(*emulated, domain) / kName;
}

}  // namespace splitring::tools
