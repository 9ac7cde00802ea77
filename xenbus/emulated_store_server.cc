#include "xenbus/emulated_store_server.h"

#include <fcntl.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cassert>
#include <cerrno>
#include <cstring>
#include <utility>

namespace splitring {

namespace {

constexpr size_t kReceiveBytes = 16384;  // of one connection, a turn
constexpr int kEventsPerTurn = 64;
constexpr int kAcceptsPerTurn = 16;

Result<sockaddr_un> socket_address(const std::filesystem::path& path) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  const std::string& text = path.native();
  if (text.empty() || text.size() >= sizeof address.sun_path)
    return fail(Errc::kInvalid, "socket path is empty or too long: " + text);
  std::memcpy(address.sun_path, text.data(), text.size());
  return address;
}

bool bind_to(int socket, const sockaddr_un& address) {
  return bind(socket, reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0;
}

// True if a socket file is left that nobody serves any more.
bool is_dead(const sockaddr_un& address) {
  struct stat status {};
  if (lstat(address.sun_path, &status) != 0 || !S_ISSOCK(status.st_mode)) return false;
  const UniqueFd probe(socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  return probe &&
         connect(probe.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0 &&
         errno == ECONNREFUSED;
}

bool is_trusted_peer(int socket) {
  ucred peer{};
  socklen_t size = sizeof peer;
  return getsockopt(socket, SOL_SOCKET, SO_PEERCRED, &peer, &size) == 0 &&
         (peer.uid == 0 || peer.uid == geteuid());
}

std::string domain_name(DomId domain) { return "domain " + std::to_string(raw(domain)); }

}  // namespace

Result<std::unique_ptr<EmulatedStoreServer>> EmulatedStoreServer::create(
    const StoreLimits& limits) {
  UniqueFd epoll(epoll_create1(EPOLL_CLOEXEC));
  if (!epoll) return fail_errno("creating the store server", errno);
  return std::unique_ptr<EmulatedStoreServer>(new EmulatedStoreServer(std::move(epoll), limits));
}

EmulatedStoreServer::~EmulatedStoreServer() {
  for (const auto& [id, listener] : listeners_) ::unlink(listener.path.c_str());
}

Result<> EmulatedStoreServer::listen(DomId domain, const std::filesystem::path& socket_path) {
  if (!is_introduced(domain))
    return fail(Errc::kNotFound, domain_name(domain) + " is not introduced");
  const std::string where = "store socket " + socket_path.native();
  const sockaddr_un address = TRY(socket_address(socket_path));
  UniqueFd socket(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  if (!socket) return fail_errno(where, errno);
  // Linux makes the socket's file with the mode of the socket, so it is never open to others.
  if (fchmod(socket.get(), S_IRUSR | S_IWUSR) != 0) return fail_errno(where, errno);
  if (!bind_to(socket.get(), address)) {
    if (errno != EADDRINUSE) return fail_errno(where, errno);
    if (!is_dead(address)) return fail(Errc::kBusy, where + " is in use");
    ::unlink(address.sun_path);
    if (!bind_to(socket.get(), address)) return fail_errno(where, errno);
  }
  const uint64_t id = ++last_id_;
  epoll_event event{.events = accepting_ ? uint32_t{EPOLLIN} : 0, .data = {.u64 = id}};
  if (::listen(socket.get(), SOMAXCONN) != 0 ||
      epoll_ctl(epoll_.get(), EPOLL_CTL_ADD, socket.get(), &event) != 0) {
    const int error_number = errno;
    ::unlink(address.sun_path);
    return fail_errno(where, error_number);
  }
  listeners_.emplace(id, Listener{std::move(socket), domain, socket_path});
  return {};
}

Result<> EmulatedStoreServer::introduce(DomId domain) {
  if (raw(domain) >= kFirstReservedDomId)
    return fail(Errc::kInvalid, domain_name(domain) + ": the number is reserved");
  if (!service_.introduce(domain)) return fail(Errc::kExists, domain_name(domain) + " exists");
  settle();
  return {};
}

Result<> EmulatedStoreServer::release(DomId domain) {
  const auto released = service_.release(domain);
  if (!released && released.error() == StoreErrc::kInvalid)
    return fail(Errc::kInvalid, "domain 0 cannot be released");
  if (!released) return fail(Errc::kNotFound, domain_name(domain) + " is not introduced");
  settle();
  return {};
}

void EmulatedStoreServer::process() {
  std::array<epoll_event, kEventsPerTurn> events;
  const int count = epoll_wait(epoll_.get(), events.data(), kEventsPerTurn, 0);
  for (int i = 0; i < count; i++) {
    const epoll_event& event = events[static_cast<size_t>(i)];
    if (const auto it = listeners_.find(event.data.u64); it != listeners_.end()) {
      accept_all(it->second);
    } else if (const auto at = connections_.find(event.data.u64); at != connections_.end()) {
      // Only a close of both directions shows as EPOLLHUP; what came before it is read first.
      if ((event.events & (EPOLLERR | EPOLLHUP)) != 0 && (event.events & EPOLLIN) == 0)
        at->second.hung_up = true;
      if ((event.events & EPOLLOUT) != 0) at->second.blocked = false;
      if ((event.events & EPOLLIN) != 0) receive(at->second);
    }
  }
  settle();
}

void EmulatedStoreServer::accept_all(Listener& listener) {
  for (int i = 0; i < kAcceptsPerTurn; i++) {
    UniqueFd socket(accept4(listener.socket.get(), nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK));
    if (socket) {
      add_connection(std::move(socket), listener.domain);
    } else if (errno == EMFILE || errno == ENFILE || errno == ENOBUFS || errno == ENOMEM) {
      return set_accepting(false);
    } else if (errno != ECONNABORTED && errno != EINTR) {
      return;
    }
  }
}

// Refuses by closing the socket at once.
void EmulatedStoreServer::add_connection(UniqueFd socket, DomId domain) {
  const StoreLimits& limits = service_.limits();
  const size_t most = raw(domain) == 0 ? limits.privileged_connections : limits.connections;
  if (!service_.is_introduced(domain) || !is_trusted_peer(socket.get()) ||
      connections_of(domain) >= most)
    return;
  const uint64_t id = ++last_id_;
  epoll_event event{.events = EPOLLIN, .data = {.u64 = id}};
  if (epoll_ctl(epoll_.get(), EPOLL_CTL_ADD, socket.get(), &event) != 0) return;
  const auto [it, added] = connections_.try_emplace(id, std::move(socket), service_, domain);
  assert(added);
  it->second.interest = event.events;
}

size_t EmulatedStoreServer::connections_of(DomId domain) const {
  return static_cast<size_t>(std::ranges::count_if(
      connections_, [&](const auto& each) { return each.second.session.domain() == domain; }));
}

void EmulatedStoreServer::receive(Connection& connection) {
  if (!connection.session.wants_input()) return;
  std::array<char, kReceiveBytes> bytes;
  const ssize_t count = recv(connection.socket.get(), bytes.data(), bytes.size(), MSG_DONTWAIT);
  if (count > 0) {
    connection.session.receive({bytes.data(), static_cast<size_t>(count)});
  } else if (count == 0 || (errno != EAGAIN && errno != EINTR)) {
    connection.hung_up = true;
  }
}

void EmulatedStoreServer::send(Connection& connection) {
  for (auto output = connection.session.output(); !output.empty();
       output = connection.session.output()) {
    const ssize_t count =
        ::send(connection.socket.get(), output.data(), output.size(), MSG_DONTWAIT | MSG_NOSIGNAL);
    if (count < 0) {
      connection.blocked = errno == EAGAIN;
      connection.hung_up = errno != EAGAIN;
      return;
    }
    connection.session.sent(static_cast<size_t>(count));
  }
}

void EmulatedStoreServer::update_interest(uint64_t id, Connection& connection) {
  const bool reads = connection.session.wants_input();
  const uint32_t interest =
      (reads ? uint32_t{EPOLLIN} : 0) | (connection.blocked ? uint32_t{EPOLLOUT} : 0);
  if (interest == connection.interest) return;
  epoll_event event{.events = interest, .data = {.u64 = id}};
  if (epoll_ctl(epoll_.get(), EPOLL_CTL_MOD, connection.socket.get(), &event) == 0)
    connection.interest = interest;
}

void EmulatedStoreServer::settle() {
  send_all();
  drop_finished();
  for (auto& [id, connection] : connections_) update_interest(id, connection);
}

void EmulatedStoreServer::send_all() {
  // Sending makes room in which a session answers requests that it holds, and those may cause
  // events for others. It ends, because nothing is received meanwhile.
  for (bool sent_something = true; sent_something;) {
    sent_something = false;
    for (auto& [id, connection] : connections_) {
      if (connection.hung_up || connection.blocked || connection.session.output().empty()) continue;
      send(connection);
      sent_something = true;
    }
  }
}

void EmulatedStoreServer::drop_finished() {
  const size_t dropped = std::erase_if(connections_, [](const auto& each) {
    return each.second.hung_up || each.second.session.closed();
  });
  std::erase_if(listeners_, [this](const auto& each) {
    const Listener& listener = each.second;
    if (is_introduced(listener.domain)) return false;
    ::unlink(listener.path.c_str());
    return true;
  });
  if (dropped > 0 && !accepting_) set_accepting(true);
}

void EmulatedStoreServer::set_accepting(bool accepting) {
  accepting_ = accepting;
  for (auto& [id, listener] : listeners_) {
    epoll_event event{.events = accepting ? uint32_t{EPOLLIN} : 0, .data = {.u64 = id}};
    // Cannot fail: the descriptors are ours and registered.
    (void)epoll_ctl(epoll_.get(), EPOLL_CTL_MOD, listener.socket.get(), &event);
  }
}

}  // namespace splitring
