#include "grant/emulated_server.h"

#include <fcntl.h>
#include <spdlog/spdlog.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

#include <array>
#include <cerrno>
#include <string>
#include <utility>

#include "base/units.h"
#include "grant/emulated_frame.h"
#include "grant/emulated_pages.h"

namespace splitring {
namespace {

constexpr int kBacklog = 128;
constexpr int kEventsPerPass = 64;

UniqueFd open_reserve() { return UniqueFd(::open("/dev/null", O_RDONLY | O_CLOEXEC)); }

Result<UniqueFd> listen_at(const std::filesystem::path& path) {
  const std::string text = path.string();
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  if (text.size() >= sizeof address.sun_path)
    return fail(Errc::kInvalid, text + " is too long for a socket's path; use a shorter directory");
  text.copy(address.sun_path, text.size());
  struct stat status {};
  if (::lstat(text.c_str(), &status) == 0 && S_ISSOCK(status.st_mode)) ::unlink(text.c_str());
  UniqueFd socket(::socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  // The file gets the mode that the socket has, so it is never there with another (O1).
  if (!socket || ::fchmod(socket.get(), 0600) != 0 ||
      ::bind(socket.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0 ||
      ::listen(socket.get(), kBacklog) != 0)
    return fail_errno("listening at " + text, errno);
  return socket;
}

}  // namespace

Result<std::unique_ptr<EmulatedHypervisorServer>> EmulatedHypervisorServer::create(
    const HypervisorLimits& limits) {
  TRY_VOID(check_page_size());
  UniqueFd epoll(::epoll_create1(EPOLL_CLOEXEC));
  if (!epoll) return fail_errno("creating the emulated hypervisor", errno);
  return std::unique_ptr<EmulatedHypervisorServer>(
      new EmulatedHypervisorServer(limits, std::move(epoll), open_reserve()));
}

EmulatedHypervisorServer::~EmulatedHypervisorServer() {
  for (const auto& [id, listener] : listeners_) ::unlink(listener.path.c_str());
}

Result<> EmulatedHypervisorServer::introduce(DomId domain) { return rules_.create_domain(domain); }

Result<> EmulatedHypervisorServer::listen(DomId domain, const std::filesystem::path& socket_path) {
  UniqueFd socket = TRY(listen_at(socket_path));
  const uint64_t id = next_id_++;
  TRY_VOID(watch(socket.get(), id));
  listeners_.emplace(id, Listener{std::move(socket), domain, socket_path});
  return {};
}

Result<> EmulatedHypervisorServer::release(DomId domain) {
  TRY_VOID(rules_.destroy_domain(domain));
  std::erase_if(connections_,
                [&](const auto& entry) { return entry.second.client.domain == domain; });
  std::erase_if(listeners_, [&](const auto& entry) {
    if (entry.second.domain != domain) return false;
    ::unlink(entry.second.path.c_str());
    return true;
  });
  return {};
}

Result<> EmulatedHypervisorServer::watch(int fd, uint64_t id) {
  epoll_event event{};
  event.events = EPOLLIN;
  event.data.u64 = id;
  if (::epoll_ctl(epoll_.get(), EPOLL_CTL_ADD, fd, &event) != 0)
    return fail_errno("watching a socket", errno);
  return {};
}

// One message of each ready client a pass, so that none keeps the others waiting. An event may be
// for a connection that an earlier one of the same pass has ended: ids are never used twice.
void EmulatedHypervisorServer::process() {
  std::array<epoll_event, kEventsPerPass> events;
  const int ready = ::epoll_wait(epoll_.get(), events.data(), kEventsPerPass, 0);
  for (int i = 0; i < ready; i++) {
    const uint64_t id = events[static_cast<size_t>(i)].data.u64;
    if (const auto at = connections_.find(id); at != connections_.end())
      serve(id, at->second);
    else if (const auto listener = listeners_.find(id); listener != listeners_.end())
      accept_client(listener->second);
  }
}

void EmulatedHypervisorServer::accept_client(const Listener& listener) {
  UniqueFd socket(::accept4(listener.socket.get(), nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK));
  if (!socket && (errno == EMFILE || errno == ENFILE)) {
    // Else the client that cannot be accepted would keep us busy for ever.
    reserve_.reset();
    UniqueFd(::accept4(listener.socket.get(), nullptr, nullptr, SOCK_CLOEXEC)).reset();
    reserve_ = open_reserve();
    count_drop(listener.domain, {Errc::kLimit, "no descriptors left"});
    return;
  }
  if (!socket) return;  // it has gone again
  if (auto outcome = admit(std::move(socket), listener.domain); !outcome)
    count_drop(listener.domain, outcome.error());
}

Result<> EmulatedHypervisorServer::admit(UniqueFd socket, DomId domain) {
  ucred peer{};
  socklen_t length = sizeof peer;
  if (::getsockopt(socket.get(), SOL_SOCKET, SO_PEERCRED, &peer, &length) != 0)
    return fail_errno("asking who connects", errno);
  if (peer.uid != 0 && peer.uid != ::geteuid())
    return fail(Errc::kPermission, "user " + std::to_string(peer.uid) + " may not connect");
  // An honest client has one reply under way. One that sends on without reading soon finds this
  // full, before the descriptors in its unread replies become many.
  constexpr int kRoomForReplies = 2 * wire::kMaxReply;
  if (::setsockopt(socket.get(), SOL_SOCKET, SO_SNDBUF, &kRoomForReplies, sizeof kRoomForReplies) !=
      0)
    return fail_errno("limiting a socket", errno);
  const HandleId handle = TRY(rules_.open_handle(domain));
  const uint64_t id = next_id_++;
  if (auto watched = watch(socket.get(), id); !watched) {
    rules_.close_handle(handle);
    return watched;
  }
  connections_.emplace(id, Connection{std::move(socket), {domain, handle, false}});
  return {};
}

void EmulatedHypervisorServer::serve(uint64_t id, Connection& connection) {
  auto outcome = answer(connection);
  if (outcome) return;
  if (outcome.error().code != Errc::kClosed) count_drop(connection.client.domain, outcome.error());
  rules_.close_handle(connection.client.handle);
  connections_.erase(id);
}

// An error ends the connection.
Result<> EmulatedHypervisorServer::answer(Connection& connection) {
  std::array<std::byte, wire::kMaxRequest> frame;
  std::array<UniqueFd, 1> descriptors;  // no request takes more
  auto received = receive_frame(connection.socket.get(), frame, descriptors);
  if (!received && received.error().code == Errc::kConflict) return {};  // nothing there after all
  const ReceivedFrame size = TRY(std::move(received));
  TRY_VOID(requests_.handle(connection.client, std::span(frame).first(size.bytes),
                            std::span(descriptors).first(size.descriptors), reply_));
  auto sent = send_frame(connection.socket.get(), reply_.frame(), reply_.descriptors());
  reply_.clear();
  if (!sent && sent.error().code == Errc::kConflict)
    return fail(Errc::kPeer, "does not read its replies");
  return sent;
}

void EmulatedHypervisorServer::count_drop(DomId domain, const Error& why) {
  dropped_clients_++;
  if (is_power_of_two(dropped_clients_))
    spdlog::warn("emulated hypervisor: dropped a client of domain {} (number {}): {}", raw(domain),
                 dropped_clients_, why.what);
}

}  // namespace splitring
