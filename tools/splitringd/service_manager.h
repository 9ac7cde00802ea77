// Telling systemd how we are (sd_notify(3)). Without one, nothing happens.
#pragma once

#include "base/result.h"

namespace splitring::tools {

// "READY=1", "STOPPING=1": a datagram to $NOTIFY_SOCKET, which may be an abstract one ("@...").
Result<> notify_service_manager(const char* state);

}  // namespace splitring::tools
