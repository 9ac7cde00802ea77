// Asking a daemon, through its control socket (tools/splitringd/control_server.h).
#pragma once

#include <filesystem>
#include <nlohmann/json.hpp>

#include "base/result.h"

namespace splitring::tools {

// GET /devices: an array of what splitringd serves. Errors: kNotFound, kPermission, kClosed: nobody
// answers there; kPeer: what answers is no daemon of ours; kTimeout.
Result<nlohmann::json> fetch_devices(const std::filesystem::path& socket);

}  // namespace splitring::tools
