// What each request of the store's wire protocol does. Pure; made for one request and then gone.
//
// Source of every payload: Xen's docs/misc/xenstore.txt (4.17); of what may be done by whom and
// which error it gives: as xenstored (4.17) answers.
#pragma once

#include <string>
#include <string_view>

#include "xenbus/store_service.h"
#include "xenbus/store_session.h"
#include "xenbus/store_wire.h"

namespace splitring {

class StoreRequests {
 public:
  StoreRequests(StoreService& service, StoreSession& session)
      : service_(service), session_(session) {}

  // The payload of the answer, and the events that it causes queued. Errors travel to the client.
  StoreResult<std::string> execute(const StoreFrame& request);
  // Ends all transactions and watches of the session, and drops events that wait.
  void reset();

 private:
  using Reply = StoreResult<std::string>;
  struct Handler;
  static const Handler* find_handler(StoreMessage type);

  Reply control(std::string_view payload);
  Reply directory(std::string_view payload);
  Reply directory_part(std::string_view payload);
  Reply read(std::string_view payload);
  Reply write(std::string_view payload);
  Reply make_directory(std::string_view payload);
  Reply remove(std::string_view payload);
  Reply get_permissions(std::string_view payload);
  Reply set_permissions(std::string_view payload);
  Reply watch(std::string_view payload);
  Reply unwatch(std::string_view payload);
  Reply reset_watches(std::string_view payload);
  Reply transaction_start(std::string_view payload);
  Reply transaction_end(std::string_view payload);
  Reply introduce(std::string_view payload);
  Reply release(std::string_view payload);
  Reply resume(std::string_view payload);
  Reply set_target(std::string_view payload);
  Reply get_domain_path(std::string_view payload);
  Reply is_domain_introduced(std::string_view payload);

  [[nodiscard]] StoreIdentity who() const { return service_.identity(session_.domain_); }
  [[nodiscard]] StoreResult<std::string> resolve(std::string_view path) const {
    return resolve_store_path(path, session_.domain_);
  }
  // Of a payload that is one path.
  [[nodiscard]] StoreResult<std::string> only_path(std::string_view payload) const;

  StoreService& service_;
  StoreSession& session_;
  uint32_t transaction_id_ = 0;
  StoreTransaction* transaction_ = nullptr;  // of the request
};

}  // namespace splitring
