// The xenstore server of an emulated host: Xen's own wire protocol on Unix sockets, one for each
// domain, so that libxenstore and Xen's tools (with XENSTORED_PATH) are its clients.
//
// One thread owns a server and calls process() whenever fd() is readable; nothing here blocks. What
// a domain may do is decided by the socket that it connected to, and who may connect to that by the
// socket's mode (0600) and the peer's user, which has to be ours or root (SO_PEERCRED).
//
// A client that breaks the protocol, or sends without reading, hurts only itself: the first is
// disconnected, the second waits (X1, X5, X10). Each turn takes a bounded amount of every client.
#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <memory>
#include <utility>

#include "base/result.h"
#include "base/unique_fd.h"
#include "grant/types.h"
#include "xenbus/store_limits.h"
#include "xenbus/store_service.h"
#include "xenbus/store_session.h"

namespace splitring {

class EmulatedStoreServer {
 public:
  // Domain 0 is introduced from the beginning.
  static Result<std::unique_ptr<EmulatedStoreServer>> create(const StoreLimits& limits = {});
  ~EmulatedStoreServer();

  // Makes the socket on which connections speak for `domain`; takes the place of a dead one. May be
  // called again with another path. Errors: kNotFound if the domain is not introduced; kBusy if
  // somebody serves this path; kInvalid if the path is too long for a socket (107 bytes).
  Result<> listen(DomId domain, const std::filesystem::path& socket_path);

  // Makes /local/domain/<id>, owned by the domain, with its nodes domid and name; fires
  // @introduceDomain. Errors: kExists (as domain 0 always does); kInvalid for a reserved number.
  Result<> introduce(DomId domain);
  // Closes its connections and sockets; removes its home, the nodes that it owns, and its rights
  // and watches everywhere (X9); fires @releaseDomain. Errors: kNotFound; kInvalid for domain 0.
  Result<> release(DomId domain);
  [[nodiscard]] bool is_introduced(DomId domain) const { return service_.is_introduced(domain); }

  // An epoll descriptor: readable when process() has something to do.
  [[nodiscard]] int fd() const { return epoll_.get(); }
  void process();

  [[nodiscard]] size_t connection_count() const { return connections_.size(); }

 private:
  struct Listener {
    UniqueFd socket;
    DomId domain;
    std::filesystem::path path;
  };
  struct Connection {
    Connection(UniqueFd s, StoreService& service, DomId domain)
        : socket(std::move(s)), session(service, domain) {}
    UniqueFd socket;
    StoreSession session;
    bool hung_up = false;
    bool blocked = false;   // the socket takes no more until epoll says so
    uint32_t interest = 0;  // what epoll waits for
  };

  EmulatedStoreServer(UniqueFd epoll, const StoreLimits& limits)
      : epoll_(std::move(epoll)), service_(limits) {}

  void accept_all(Listener& listener);
  void add_connection(UniqueFd socket, DomId domain);
  [[nodiscard]] size_t connections_of(DomId domain) const;
  void receive(Connection& connection);
  void send(Connection& connection);
  void update_interest(uint64_t id, Connection& connection);
  // To be called after whatever may have made output: sends it, drops who is done, and tells epoll
  // what to wait for.
  void settle();
  void send_all();
  void drop_finished();
  void set_accepting(bool accepting);

  UniqueFd epoll_;
  StoreService service_;
  bool accepting_ = true;  // false: out of descriptors until a connection closes
  // Numbers are never used twice, so an event of what is gone meanwhile finds nothing.
  uint64_t last_id_ = 0;
  std::map<uint64_t, Listener> listeners_;
  std::map<uint64_t, Connection> connections_;
};

}  // namespace splitring
