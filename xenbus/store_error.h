// The errors that a store server answers. On the wire an error travels as its name ("ENOENT"); the
// names are the errno values' own. Errc cannot keep them apart (E2BIG from EINVAL, say), hence a
// type of its own inside the server.
//
// Source: xsd_errors in Xen's public/io/xs_wire.h (4.17). No other name may be sent: clients take
// an unknown one for EINVAL.
#pragma once

#include <cerrno>
#include <string_view>
#include <tl/expected.hpp>

#include "base/result.h"

namespace splitring {

enum class StoreErrc : int {
  kInvalid = EINVAL,       // malformed path, payload or number
  kAccess = EACCES,        // the node's permissions, or not the privileged domain
  kExists = EEXIST,        // the same watch again
  kNotFound = ENOENT,      // no such node, transaction, watch, domain
  kNoSpace = ENOSPC,       // quota of nodes, node size, transactions, permission entries
  kNotSupported = ENOSYS,  // unknown request type
  kBusy = EBUSY,           // a transaction within a transaction
  kConflict = EAGAIN,      // the transaction lost: do it again
  kTooBig = E2BIG,         // answer does not fit a frame; quota of watches
  kNotPermitted = EPERM,   // an unprivileged domain would give its node away
};

template <class T = void>
using StoreResult = tl::expected<T, StoreErrc>;

[[nodiscard]] inline tl::unexpected<StoreErrc> store_fail(StoreErrc code) {
  return tl::unexpected<StoreErrc>(code);
}

// The name that travels on the wire.
[[nodiscard]] constexpr std::string_view wire_name(StoreErrc code) {
  switch (code) {
    case StoreErrc::kInvalid: return "EINVAL";
    case StoreErrc::kAccess: return "EACCES";
    case StoreErrc::kExists: return "EEXIST";
    case StoreErrc::kNotFound: return "ENOENT";
    case StoreErrc::kNoSpace: return "ENOSPC";
    case StoreErrc::kNotSupported: return "ENOSYS";
    case StoreErrc::kBusy: return "EBUSY";
    case StoreErrc::kConflict: return "EAGAIN";
    case StoreErrc::kTooBig: return "E2BIG";
    case StoreErrc::kNotPermitted: return "EPERM";
  }
  return "EINVAL";
}

}  // namespace splitring
