#include "tests/support/tools/served.h"

#include <arpa/inet.h>
#include <gtest/gtest.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <array>

namespace splitring::test {

Served::Served(const http::SourceFactory& factory, http::ServerOptions options)
    : stop_(::eventfd(0, EFD_CLOEXEC)) {
  options.listen = "127.0.0.1:0";
  auto server = http::Server::open(options, factory, metrics_);
  if (!server) {
    ADD_FAILURE() << server.error().what;
    return;
  }
  server_ = std::move(*server);
  const std::string& url = server_->url();
  port_ = static_cast<uint16_t>(std::stoul(url.substr(url.rfind(':') + 1)));
  thread_ = std::thread([this] { server_->run(stop_.get()); });
}

void Served::ask_to_stop() { ::eventfd_write(stop_.get(), 1); }

void Served::stop() {
  ask_to_stop();
  if (thread_.joinable()) thread_.join();
}

RawClient::RawClient(const Served& served) : fd_(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(served.port());
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  EXPECT_EQ(::connect(fd_.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address), 0);
  const timeval patience{60, 0};
  ::setsockopt(fd_.get(), SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
}

void RawClient::send(std::string_view bytes) {
  while (!bytes.empty()) {
    const ssize_t sent = ::send(fd_.get(), bytes.data(), bytes.size(), MSG_NOSIGNAL);
    if (sent <= 0) return;  // what it answered before it closed is still to be read
    bytes.remove_prefix(static_cast<size_t>(sent));
  }
}

bool RawClient::fill() {
  std::array<char, 65536> some;
  const ssize_t got = ::recv(fd_.get(), some.data(), some.size(), 0);
  if (got <= 0) return false;
  input_.append(some.data(), static_cast<size_t>(got));
  return true;
}

std::string RawClient::receive(size_t bytes) {
  while (input_.size() < bytes && fill()) {
  }
  const std::string taken = input_.substr(0, bytes);
  input_.erase(0, taken.size());
  return taken;
}

std::string RawClient::receive_until(std::string_view end) {
  size_t at = std::string::npos;
  while ((at = input_.find(end)) == std::string::npos && fill()) {
  }
  return receive(at == std::string::npos ? input_.size() : at + end.size());
}

}  // namespace splitring::test
