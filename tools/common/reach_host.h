// Opening the host from a program's command line.
#pragma once

#include <memory>

#include "base/result.h"
#include "xenbus/host.h"

namespace splitring::tools {

// As open_host(), but an emulated host that does not answer yet gets a few seconds: whoever starts
// it in the background goes on at once. Says on standard error what it waits for.
Result<std::unique_ptr<Host>> reach_host(const HostOptions& options);

// For what a toolstack does. Of an emulated host's domains only domain 0 may do that, so it is the
// one to speak for unless the command line names another: $SPLITRING_DOMAIN says which domain's
// disks a person works with, and must not be in the way.
Result<std::unique_ptr<Host>> reach_toolstack_host(const HostOptions& options);

}  // namespace splitring::tools
