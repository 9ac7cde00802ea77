// Waiting for what another domain writes in the store, without sleeping in between.
#pragma once

#include <chrono>
#include <functional>
#include <string>

#include "base/result.h"
#include "xenbus/store.h"

namespace splitring::tools {

// Watches `path` and calls `look` after every change there and once at the beginning, until it
// returns true or an error. kTimeout otherwise, with an empty text: the caller knows what to say.
// Events of other watches of this store are lost.
Result<> wait_for(Store& store, const std::string& path, std::chrono::milliseconds timeout,
                  const std::function<Result<bool>()>& look);

}  // namespace splitring::tools
