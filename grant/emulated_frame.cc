#include "grant/emulated_frame.h"

#include <sys/socket.h>
#include <sys/uio.h>

#include <cassert>
#include <cerrno>
#include <cstring>

namespace splitring {
namespace {

constexpr size_t kControlSize = CMSG_SPACE(sizeof(int) * wire::kMaxDescriptors);

// Takes every descriptor of the message; those without room are closed.
Result<size_t> take_descriptors(msghdr& message, std::span<UniqueFd> descriptors) {
  size_t count = 0;
  bool too_many = (message.msg_flags & MSG_CTRUNC) != 0;
  for (cmsghdr* header = CMSG_FIRSTHDR(&message); header != nullptr;
       header = CMSG_NXTHDR(&message, header)) {
    if (header->cmsg_level != SOL_SOCKET || header->cmsg_type != SCM_RIGHTS) continue;
    const size_t here = (header->cmsg_len - CMSG_LEN(0)) / sizeof(int);
    for (size_t i = 0; i < here; i++) {
      int fd = -1;
      std::memcpy(&fd, CMSG_DATA(header) + i * sizeof fd, sizeof fd);
      UniqueFd owned(fd);
      if (count == descriptors.size()) {
        too_many = true;
        continue;
      }
      descriptors[count++] = std::move(owned);
    }
  }
  if (!too_many) return count;
  for (UniqueFd& fd : descriptors.first(count)) fd.reset();
  return fail(Errc::kPeer, "a message with too many descriptors");
}

}  // namespace

Result<> send_frame(int socket, std::span<const std::byte> frame,
                    std::span<const int> descriptors) {
  assert(descriptors.size() <= wire::kMaxDescriptors);
  iovec piece{const_cast<std::byte*>(frame.data()), frame.size()};
  alignas(cmsghdr) std::byte control[kControlSize];
  msghdr message{};
  message.msg_iov = &piece;
  message.msg_iovlen = 1;
  if (!descriptors.empty()) {
    message.msg_control = control;
    message.msg_controllen = CMSG_SPACE(descriptors.size_bytes());
    std::memset(control, 0, message.msg_controllen);
    cmsghdr* header = CMSG_FIRSTHDR(&message);
    header->cmsg_level = SOL_SOCKET;
    header->cmsg_type = SCM_RIGHTS;
    header->cmsg_len = CMSG_LEN(descriptors.size_bytes());
    std::memcpy(CMSG_DATA(header), descriptors.data(), descriptors.size_bytes());
  }
  ssize_t sent;
  do sent = ::sendmsg(socket, &message, MSG_NOSIGNAL);
  while (sent < 0 && errno == EINTR);
  if (sent < 0) return fail_errno("sending to the emulated host's socket", errno);
  return {};
}

Result<ReceivedFrame> receive_frame(int socket, std::span<std::byte> frame,
                                    std::span<UniqueFd> descriptors) {
  iovec piece{frame.data(), frame.size()};
  alignas(cmsghdr) std::byte control[kControlSize];
  msghdr message{};
  message.msg_iov = &piece;
  message.msg_iovlen = 1;
  message.msg_control = control;
  message.msg_controllen = sizeof control;
  ssize_t received;
  do received = ::recvmsg(socket, &message, MSG_CMSG_CLOEXEC);
  while (received < 0 && errno == EINTR);
  if (received < 0) return fail_errno("receiving from the emulated host's socket", errno);
  const size_t count = TRY(take_descriptors(message, descriptors));
  if (received > 0 && (message.msg_flags & MSG_TRUNC) == 0)
    return ReceivedFrame{static_cast<size_t>(received), count};
  for (UniqueFd& fd : descriptors.first(count)) fd.reset();
  if (received == 0) return fail(Errc::kClosed, "the other end of the socket has closed it");
  return fail(Errc::kPeer, "a message that is too long");
}

}  // namespace splitring
