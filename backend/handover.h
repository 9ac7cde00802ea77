// Disks that a toolstack gives to whoever its hotplug script names, in a kind of directory
// (backend/vbd) that other backends serve too: Linux's xen-blkback takes each device first.
//
// What happens on a stock `xl` with script=block-splitring: xen-blkback and we both see the new
// device and both may say InitWait; nobody connects before the script has finished. The script
// takes xen-blkback off the device and asks us to take it over (the node kHandoverNode). We say
// anew what we offer, since xen-blkback has written its own words over ours, and remove the node:
// that is the answer.
//
// Sources: libxl_device.c and drivers/block/xen-blkback/xenbus.c; seen on Xen 4.17 (tests/xen).
#pragma once

#include <string>

#include "base/result.h"
#include "xenbus/nodes.h"
#include "xenbus/store.h"

namespace splitring::backend {

// In the backend's directory, by a backend that has ended: it has answered all that it took, so
// that another process can go on with the same rings and the frontend need not know.
inline constexpr char kRestNode[] = "splitring-rest";

// In the backend's directory while it is connected: the token of the journals of its rings
// (backend/ring_journal.h), by which the next process goes on if this one is killed.
inline constexpr char kJournalNode[] = "splitring-journal";

// False for a device whose hotplug script is somebody else's.
Result<bool> is_meant_for_us(StoreView& store, const std::string& backend_directory);

// What a frontend may ask for: our own offer, and what a backend before us has promised, which the
// frontend may have read already.
BackendOffer widened(const BackendOffer& own, const BackendOffer& promised);

// Answers a request to take the device over; nothing happens without one. The result is what the
// frontend may ask for from now on.
// Errors: kUnsupported: it has promised what we cannot do.
Result<BackendOffer> answer_handover(StoreView& store, const std::string& backend_directory,
                                     const BackendOffer& own);

}  // namespace splitring::backend
