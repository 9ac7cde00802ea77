// Where a daemon's control socket is when nobody says.
#pragma once

#include <filesystem>

#include "grant/types.h"
#include "xenbus/host.h"

namespace splitring::tools {

// DIR/<domid>/splitringd.control of an emulated host, beside the domain's own sockets; on Xen
// /run/splitring/splitringd.control, where one domain is all there is.
std::filesystem::path control_path(const HostOptions& host, DomId domain);

}  // namespace splitring::tools
