// A client's connection to the emulated hypervisor: one request, one reply.
//
// As an open /dev/xen/gntdev is, it is a handle: what was made through it ends when it closes or
// its process dies. One owner thread. Blocks while the server answers. A call that succeeds does
// not allocate.
//
// The server is trusted as a hypervisor is, but its frames are still checked: a program of another
// version may be listening. Errors: kClosed once the host has stopped or the domain was destroyed.
#pragma once

#include <array>
#include <cstddef>
#include <cstring>
#include <filesystem>
#include <optional>
#include <span>

#include "base/result.h"
#include "base/unique_fd.h"
#include "grant/emulated_protocol.h"
#include "grant/types.h"

namespace splitring {

class EmulatedConnection {
 public:
  // Connects and says hello. Errors name the socket and say what to start.
  static Result<EmulatedConnection> open(const std::filesystem::path& socket_path);

  [[nodiscard]] DomId domain() const { return domain_; }

  // Sends a request and waits. The result is the reply's frame: at least a T; what follows the T is
  // for the caller to check. Valid, like descriptors(), until the next call.
  template <class T>
  Result<std::span<const std::byte>> call(std::span<const std::byte> request,
                                          std::optional<int> descriptor = std::nullopt) {
    const auto frame = TRY(exchange(request, descriptor));
    if (frame.size() < sizeof(T)) return fail(Errc::kPeer, "the emulated host's reply is short");
    return frame;
  }
  // For a reply that is a T and no more.
  template <class T, class Request>
  Result<T> call_exactly(const Request& request, std::optional<int> descriptor = std::nullopt) {
    const auto frame =
        TRY(call<T>(std::as_bytes(std::span<const Request, 1>(&request, 1)), descriptor));
    if (frame.size() != sizeof(T)) return fail(Errc::kPeer, "the emulated host's reply is long");
    return read<T>(frame);
  }

  // Those that came with the last reply.
  [[nodiscard]] std::span<UniqueFd> descriptors() { return {descriptors_.data(), received_}; }

  // Precondition: bytes.size() >= sizeof(T).
  template <class T>
  static T read(std::span<const std::byte> bytes) {
    T item;
    std::memcpy(&item, bytes.data(), sizeof item);
    return item;
  }

 private:
  explicit EmulatedConnection(UniqueFd socket) : socket_(std::move(socket)) {}
  Result<std::span<const std::byte>> exchange(std::span<const std::byte> request,
                                              std::optional<int> descriptor);

  UniqueFd socket_;
  DomId domain_{};
  std::array<std::byte, wire::kMaxReply> frame_;
  std::array<UniqueFd, wire::kMaxDescriptors> descriptors_;
  size_t received_ = 0;
};

}  // namespace splitring
