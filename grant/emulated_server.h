// The emulated hypervisor as processes see it: sockets in front of the rules.
//
// Each domain has a socket of its own; whoever connects there speaks for that domain. A connection
// is a handle: what was made through it ends with it, so a killed process leaves nothing behind.
// Only this user and root may connect (SO_PEERCRED, and mode 0600).
//
// A client that breaks the protocol, or does not read its replies, is dropped and nobody else
// notices (B41). Dropped clients are counted; the log gets a line for the 1st, 2nd, 4th, ... one.
//
// One thread. Poll fd() and call process() when it is readable; it never blocks.
#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <unordered_map>

#include "base/result.h"
#include "base/unique_fd.h"
#include "grant/emulated_hypervisor.h"
#include "grant/emulated_requests.h"
#include "grant/types.h"

namespace splitring {

class EmulatedHypervisorServer {
 public:
  static Result<std::unique_ptr<EmulatedHypervisorServer>> create(
      const HypervisorLimits& limits = {});
  ~EmulatedHypervisorServer();
  EmulatedHypervisorServer(const EmulatedHypervisorServer&) = delete;
  EmulatedHypervisorServer& operator=(const EmulatedHypervisorServer&) = delete;

  void set_domain_control(DomainControl control) {
    requests_.set_domain_control(std::move(control));
  }

  Result<> introduce(DomId domain);
  // Takes the place of a socket that an earlier host left there. The domain must be introduced.
  Result<> listen(DomId domain, const std::filesystem::path& socket_path);
  // Closes the domain's sockets and connections, and with them all it had.
  Result<> release(DomId domain);

  [[nodiscard]] int fd() const { return epoll_.get(); }
  void process();

  [[nodiscard]] const EmulatedHypervisor& rules() const { return rules_; }
  [[nodiscard]] uint64_t dropped_clients() const { return dropped_clients_; }

 private:
  struct Listener {
    UniqueFd socket;
    DomId domain;
    std::filesystem::path path;
  };
  struct Connection {
    UniqueFd socket;
    HypervisorRequests::Client client;
  };

  EmulatedHypervisorServer(const HypervisorLimits& limits, UniqueFd epoll, UniqueFd reserve)
      : rules_(limits), requests_(rules_), epoll_(std::move(epoll)), reserve_(std::move(reserve)) {}
  Result<> watch(int fd, uint64_t id);
  void accept_client(const Listener& listener);
  Result<> admit(UniqueFd socket, DomId domain);
  void serve(uint64_t id, Connection& connection);
  Result<> answer(Connection& connection);
  void count_drop(DomId domain, const Error& why);

  EmulatedHypervisor rules_;
  HypervisorRequests requests_;
  HypervisorReply reply_;
  UniqueFd epoll_;
  UniqueFd reserve_;  // given up to accept, and close, a client when descriptors have run out
  std::unordered_map<uint64_t, Listener> listeners_;
  std::unordered_map<uint64_t, Connection> connections_;
  uint64_t next_id_ = 1;
  uint64_t dropped_clients_ = 0;
};

}  // namespace splitring
