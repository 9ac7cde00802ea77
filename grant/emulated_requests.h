// One request of a client of the emulated hypervisor in, one reply out: decodes a frame, asks the
// rules, encodes the answer. Owns what the rules hand around: sealed memory and eventfds.
//
// Frames and descriptors come from anybody and are checked here: exact size for the type, exactly
// the descriptors it takes, memory that its owner can no longer resize under a mapper (B40), domain
// control from domain 0 only. A frame that no honest client sends makes handle() say so; the caller
// then drops that client (B41). No sockets here, so that a fuzzer can drive it.
//
// One thread. Never blocks.
#pragma once

#include <array>
#include <cstddef>
#include <functional>
#include <memory>
#include <span>
#include <vector>

#include "base/result.h"
#include "base/unique_fd.h"
#include "grant/emulated_hypervisor.h"
#include "grant/emulated_protocol.h"

namespace splitring {

// What to do when domain 0 asks for a domain to be made or destroyed: the machine has more to do
// than the hypervisor (sockets, store). Must call EmulatedHypervisor::create_domain or
// destroy_domain in the end.
struct DomainControl {
  std::function<Result<>(DomId)> create;
  std::function<Result<>(DomId)> destroy;
};

// Reused from request to request, so that answering does not allocate in the long run. What
// frame() and descriptors() show is valid until the next use.
class HypervisorReply {
 public:
  [[nodiscard]] std::span<const std::byte> frame() const { return {frame_.data(), size_}; }
  [[nodiscard]] std::span<const int> descriptors() const { return descriptors_; }

  void clear();
  void refuse(const Error& error);
  // Precondition: the whole fits wire::kMaxReply, which the protocol's bounds guarantee.
  template <class T>
  void put(const T& item);
  // `pages` with the descriptors behind them, each once; a page without a source is refused.
  void put_pages(std::vector<GrantedPage> pages);
  void put_port(const BoundPort& bound);

 private:
  std::array<std::byte, wire::kMaxReply> frame_;
  size_t size_ = 0;
  std::vector<int> descriptors_;
  std::vector<GrantedPage> pages_;  // keep the descriptors open until they are sent
  std::shared_ptr<EventWire> wire_;
};

class HypervisorRequests {
 public:
  // `domain` is whom the client speaks for, by the socket it came to.
  struct Client {
    DomId domain{};
    HandleId handle{};
    bool has_said_hello = false;
  };

  explicit HypervisorRequests(EmulatedHypervisor& rules) : rules_(rules) {}

  void set_domain_control(DomainControl control) { control_ = std::move(control); }

  // Takes the descriptors it keeps; the caller closes the others. An error: drop the client. Else
  // `reply` holds the answer.
  Result<> handle(Client& client, std::span<const std::byte> frame, std::span<UniqueFd> descriptors,
                  HypervisorReply& reply);

 private:
  using Frame = std::span<const std::byte>;

  // Errors of these with kPeer: no honest client sends this. With others: told to the client.
  Result<> dispatch(const Client& client, Frame frame, std::span<UniqueFd> descriptors,
                    HypervisorReply& reply);
  Result<> hello(Client& client, Frame frame, HypervisorReply& reply);
  Result<> share(const Client& client, Frame frame, std::span<UniqueFd> descriptors,
                 HypervisorReply& reply);
  Result<> end_share(const Client& client, Frame frame, HypervisorReply& reply);
  Result<> quarantined(const Client& client, Frame frame, HypervisorReply& reply);
  Result<> map(const Client& client, Frame frame, HypervisorReply& reply);
  Result<> unmap(const Client& client, Frame frame, HypervisorReply& reply);
  Result<> resolve(const Client& client, Frame frame, HypervisorReply& reply);
  Result<> offer(const Client& client, Frame frame, HypervisorReply& reply);
  Result<> bind(const Client& client, Frame frame, HypervisorReply& reply);
  Result<> close_port(const Client& client, Frame frame, HypervisorReply& reply);
  Result<> list_domains(const Client& client, Frame frame, HypervisorReply& reply);
  Result<> change_domain(const Client& client, Frame frame, HypervisorReply& reply);
  Result<> counts(const Client& client, Frame frame, HypervisorReply& reply);

  EmulatedHypervisor& rules_;
  DomainControl control_;
};

}  // namespace splitring
