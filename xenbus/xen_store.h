// The store through libxenstore, on Xen and on an emulated host alike.
#pragma once

#include <filesystem>
#include <memory>
#include <optional>

#include "base/result.h"
#include "xenbus/store.h"

namespace splitring {

// Connects. `socket_path`: the socket of an emulated host's store server, which also decides for
// which domain we speak; nullopt: the store of the Xen host that this machine runs on.
// Error: kClosed or kNotFound if nobody answers there.
//
// libxenstore takes the path from the environment (XENSTORED_PATH) only: it is set and restored
// here under a lock that all calls of this function share, so threads that read the environment
// otherwise must not do so meanwhile. libxenstore also writes to its socket without guarding
// several threads against SIGPIPE: if that signal's action is the default one, it is ignored from
// now on.
//
// Of the Store that is returned:
// - It has one owner thread. Once it watches, libxenstore reads in a thread of its own and keeps
//   what it read until next_event() is called: call it until it gives nothing.
// - When the server goes away, fd() becomes readable (once, on an emulated host), next_event()
//   gives nothing, and every other call fails with kClosed. Open a new one, watch again and read
//   again what matters (X12).
// - transact() gives up with kConflict after kTransactionAttemptsMax attempts (X4).
Result<std::unique_ptr<Store>> open_xen_store(
    const std::optional<std::filesystem::path>& socket_path);

inline constexpr int kTransactionAttemptsMax = 40;

}  // namespace splitring
