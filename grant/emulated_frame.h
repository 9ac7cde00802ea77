// A frame with its descriptors through a SOCK_SEQPACKET socket. Both ends of the emulated
// hypervisor's protocol use it.
//
// Whatever a sender does, a received descriptor is either handed to the caller or closed here
// (B41).
#pragma once

#include <cstddef>
#include <span>

#include "base/result.h"
#include "base/unique_fd.h"
#include "grant/emulated_protocol.h"

namespace splitring {

struct ReceivedFrame {
  size_t bytes = 0;
  size_t descriptors = 0;
};

// Precondition: at most wire::kMaxDescriptors descriptors. Errors: kConflict if a nonblocking
// socket has no room, kClosed.
Result<> send_frame(int socket, std::span<const std::byte> frame, std::span<const int> descriptors);

// Errors: kConflict if a nonblocking socket has nothing; kClosed at the end; kPeer for a frame or a
// number of descriptors that did not fit what the caller has room for.
Result<ReceivedFrame> receive_frame(int socket, std::span<std::byte> frame,
                                    std::span<UniqueFd> descriptors);

}  // namespace splitring
