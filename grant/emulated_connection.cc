#include "grant/emulated_connection.h"

#include <sys/socket.h>
#include <sys/un.h>

#include <cerrno>
#include <string>
#include <utility>

#include "grant/emulated_frame.h"

namespace splitring {

Result<EmulatedConnection> EmulatedConnection::open(const std::filesystem::path& socket_path) {
  const std::string where = "emulated host at " + socket_path.string();
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  const std::string path = socket_path.string();
  if (path.size() >= sizeof address.sun_path)
    return fail(Errc::kInvalid, where + ": the path is too long for a socket; use a shorter one");
  path.copy(address.sun_path, path.size());
  UniqueFd socket(::socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0));
  if (!socket) return fail_errno(where, errno);
  if (::connect(socket.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0) {
    const int error = errno;
    if (error == ENOENT || error == ECONNREFUSED)
      return fail(
          Errc::kNotFound,
          where + ": nobody answers; start one with `splitring host`, and create the domain");
    return fail_errno(where, error);
  }
  EmulatedConnection connection(std::move(socket));
  auto hello = connection.call_exactly<wire::HelloReply>(
      wire::HelloRequest{static_cast<uint32_t>(wire::Type::kHello), wire::kMagic, wire::kVersion});
  if (!hello) return fail_within(where, std::move(hello).error());
  connection.domain_ = DomId{static_cast<uint16_t>(uint32_t{hello->domain})};
  return connection;
}

Result<std::span<const std::byte>> EmulatedConnection::exchange(std::span<const std::byte> request,
                                                                std::optional<int> descriptor) {
  for (UniqueFd& fd : descriptors()) fd.reset();
  received_ = 0;
  const auto to_send = descriptor ? std::span<const int>(&*descriptor, 1) : std::span<const int>();
  TRY_VOID(send_frame(socket_.get(), request, to_send));
  const ReceivedFrame received = TRY(receive_frame(socket_.get(), frame_, descriptors_));
  received_ = received.descriptors;
  const std::span<const std::byte> frame(frame_.data(), received.bytes);
  if (frame.size() < sizeof(wire::ReplyHeader))
    return fail(Errc::kPeer, "the emulated host's reply is short");
  const uint32_t status = read<wire::ReplyHeader>(frame).status;
  if (status == wire::kStatusOk) return frame;
  const auto text = frame.subspan(sizeof(wire::ReplyHeader));
  if (status > 1 + static_cast<uint32_t>(Errc::kTimeout) || text.size() > wire::kMaxErrorText)
    return fail(Errc::kPeer, "the emulated host's reply makes no sense");
  return fail(static_cast<Errc>(status - 1),
              std::string(reinterpret_cast<const char*>(text.data()), text.size()));
}

}  // namespace splitring
