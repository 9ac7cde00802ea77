#include "tools/kiosk/http/listen.h"

#include <arpa/inet.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/resource.h>
#include <sys/socket.h>

#include <array>
#include <cerrno>
#include <memory>

namespace splitring::http {
namespace {

struct FreeAddresses {
  void operator()(addrinfo* list) const noexcept { ::freeaddrinfo(list); }
};

std::string host_of(const sockaddr_storage& address, socklen_t size) {
  std::array<char, NI_MAXHOST> host{};
  if (::getnameinfo(reinterpret_cast<const sockaddr*>(&address), size, host.data(), host.size(),
                    nullptr, 0, NI_NUMERICHOST) != 0)
    return "-";
  return host.data();
}

}  // namespace

Result<UniqueFd> listen_on(const std::string& text) {
  const size_t colon = text.rfind(':');
  std::string host = text.substr(0, colon == std::string::npos ? 0 : colon);
  if (host.size() > 2 && host.front() == '[' && host.back() == ']')
    host = host.substr(1, host.size() - 2);
  const std::string port = colon == std::string::npos ? "" : text.substr(colon + 1);
  addrinfo hints{};
  hints.ai_flags = AI_NUMERICHOST | AI_NUMERICSERV;
  hints.ai_socktype = SOCK_STREAM;
  addrinfo* found = nullptr;
  const bool is_good = !host.empty() && !port.empty() &&
                       port.find_first_not_of("0123456789") == std::string::npos &&
                       port.size() <= 5 && std::stoul(port) <= 65535 &&
                       ::getaddrinfo(host.c_str(), port.c_str(), &hints, &found) == 0;
  const std::unique_ptr<addrinfo, FreeAddresses> address(found);
  if (!is_good)
    return fail(Errc::kInvalid,
                "\"" + text + "\" is no address to listen on; write 127.0.0.1:8080 or [::1]:8080");
  UniqueFd fd(::socket(address->ai_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
  if (!fd) return fail_errno("listening on " + text, errno);
  const int on = 1;
  // A restart may take the port while old connections of it are fading; two kiosks may not.
  ::setsockopt(fd.get(), SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
  if (::bind(fd.get(), address->ai_addr, address->ai_addrlen) != 0 ||
      ::listen(fd.get(), SOMAXCONN) != 0)
    return fail_errno("listening on " + text, errno);
  return fd;
}

Result<std::string> local_address(int fd) {
  sockaddr_storage address{};
  socklen_t size = sizeof address;
  if (::getsockname(fd, reinterpret_cast<sockaddr*>(&address), &size) != 0)
    return fail_errno("getsockname", errno);
  const std::string host = host_of(address, size);
  const bool is_v6 = address.ss_family == AF_INET6;
  const in_port_t port = is_v6 ? reinterpret_cast<const sockaddr_in6&>(address).sin6_port
                               : reinterpret_cast<const sockaddr_in&>(address).sin_port;
  return (is_v6 ? "[" + host + "]" : host) + ":" + std::to_string(ntohs(port));
}

void raise_descriptor_limit() {
  rlimit limit{};
  if (::getrlimit(RLIMIT_NOFILE, &limit) != 0) return;
  limit.rlim_cur = limit.rlim_max;
  (void)::setrlimit(RLIMIT_NOFILE, &limit);
}

Accepted accept_from(int listening) {
  sockaddr_storage address{};
  socklen_t size = sizeof address;
  Accepted accepted;
  accepted.fd = UniqueFd(::accept4(listening, reinterpret_cast<sockaddr*>(&address), &size,
                                   SOCK_NONBLOCK | SOCK_CLOEXEC));
  if (!accepted.fd) return accepted;
  const int on = 1;  // an answer is written whole: nothing is gained by waiting for more
  ::setsockopt(accepted.fd.get(), IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
  accepted.client = host_of(address, size);
  return accepted;
}

}  // namespace splitring::http
