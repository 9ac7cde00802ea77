#include "xenbus/store_requests.h"

#include <array>
#include <utility>
#include <vector>

#include "base/parse.h"

namespace splitring {

namespace {

// "OK" with its terminator: the answer of requests that have nothing to tell.
std::string ok() { return std::string("OK\0", 3); }

std::string terminated(std::string text) {
  text += '\0';
  return text;
}

StoreResult<DomId> parse_domain(std::string_view text) {
  const auto id = parse_decimal(text, kFirstReservedDomId - 1);
  if (!id) return store_fail(StoreErrc::kInvalid);
  return DomId{static_cast<uint16_t>(*id)};
}

StoreResult<DomId> only_domain(std::string_view payload) {
  const std::string_view text = TRY(only_string(payload));
  return parse_domain(text);
}

// So that an event, which carries a path and the token, fits a frame whatever the path (X1).
constexpr size_t kTokenMax = kStorePayloadMax - kStoreAbsolutePathMax - 2;

}  // namespace

struct StoreRequests::Handler {
  StoreMessage type;
  Reply (StoreRequests::*run)(std::string_view payload);
  bool privileged = false;      // domain 0 only
  bool in_transaction = false;  // takes part in the transaction that the header names
};

const StoreRequests::Handler* StoreRequests::find_handler(StoreMessage type) {
  using R = StoreRequests;
  using M = StoreMessage;
  static constexpr std::array kHandlers{
      Handler{M::kControl, &R::control, true, false},
      Handler{M::kDirectory, &R::directory, false, true},
      Handler{M::kDirectoryPart, &R::directory_part, false, true},
      Handler{M::kRead, &R::read, false, true},
      Handler{M::kWrite, &R::write, false, true},
      Handler{M::kMakeDirectory, &R::make_directory, false, true},
      Handler{M::kRemove, &R::remove, false, true},
      Handler{M::kGetPermissions, &R::get_permissions, false, true},
      Handler{M::kSetPermissions, &R::set_permissions, false, true},
      Handler{M::kWatch, &R::watch},
      Handler{M::kUnwatch, &R::unwatch},
      Handler{M::kResetWatches, &R::reset_watches},
      Handler{M::kTransactionStart, &R::transaction_start, false, true},
      Handler{M::kTransactionEnd, &R::transaction_end, false, true},
      Handler{M::kIntroduce, &R::introduce, true, false},
      Handler{M::kRelease, &R::release, true, false},
      Handler{M::kResume, &R::resume, true, false},
      Handler{M::kSetTarget, &R::set_target, true, false},
      Handler{M::kGetDomainPath, &R::get_domain_path},
      Handler{M::kIsDomainIntroduced, &R::is_domain_introduced, true, false},
  };
  for (const Handler& handler : kHandlers) {
    if (handler.type == type) return &handler;
  }
  return nullptr;
}

StoreResult<std::string> StoreRequests::execute(const StoreFrame& request) {
  const Handler* handler = find_handler(request.type);
  if (!handler) return store_fail(StoreErrc::kNotSupported);
  if (handler->privileged && !who().is_privileged()) return store_fail(StoreErrc::kAccess);
  if (handler->in_transaction && request.transaction_id != 0) {
    const auto it = session_.transactions_.find(request.transaction_id);
    if (it == session_.transactions_.end()) return store_fail(StoreErrc::kNotFound);
    transaction_id_ = it->first;
    transaction_ = it->second;
  }
  auto reply = (this->*handler->run)(request.payload);
  service_.deliver_changes();
  return reply;
}

StoreResult<std::string> StoreRequests::only_path(std::string_view payload) const {
  const std::string_view path = TRY(only_string(payload));
  return resolve(path);
}

void StoreRequests::reset() {
  StoreService::Usage& usage = service_.usage(session_.domain_);
  usage.watches -= service_.watches().remove_all(&session_.events_);
  usage.transactions -= session_.transactions_.size();
  for (const auto& [id, transaction] : session_.transactions_) service_.tree().abort(transaction);
  session_.transactions_.clear();
  transaction_ = nullptr;
}

// There is nothing to control here; "check" lets a client see that somebody answers.
StoreResult<std::string> StoreRequests::control(std::string_view payload) {
  const auto arguments = TRY(split_strings(payload));
  if (arguments.front() != "check") return store_fail(StoreErrc::kInvalid);
  return ok();
}

StoreResult<std::string> StoreRequests::directory(std::string_view payload) {
  const std::string path = TRY(only_path(payload));
  const StoreTree::Listing listing = TRY(service_.tree().list(who(), transaction_, path));
  std::string names;
  for (const std::string& name : listing.names) names += terminated(name);
  return names;
}

// A piece of a directory that does not fit a frame: "generation\0", then whole names beginning at a
// byte offset of the list; an empty name ends the last piece.
StoreResult<std::string> StoreRequests::directory_part(std::string_view payload) {
  const auto arguments = TRY(split_strings(payload));
  if (arguments.size() != 2) return store_fail(StoreErrc::kInvalid);
  const std::string path = TRY(resolve(arguments[0]));
  const auto offset = parse_decimal(arguments[1]);
  if (!offset) return store_fail(StoreErrc::kInvalid);
  const StoreTree::Listing listing = TRY(service_.tree().list(who(), transaction_, path));
  std::string part = terminated(std::to_string(listing.generation));
  uint64_t at = 0;
  for (const std::string& name : listing.names) {
    if (at >= *offset) {
      // One byte stays free for the end.
      if (part.size() + name.size() + 2 > kStorePayloadMax) return part;
      part += terminated(name);
    }
    at += name.size() + 1;
  }
  return terminated(std::move(part));
}

StoreResult<std::string> StoreRequests::read(std::string_view payload) {
  const std::string path = TRY(only_path(payload));
  return TRY(service_.tree().read(who(), transaction_, path))->value;
}

StoreResult<std::string> StoreRequests::write(std::string_view payload) {
  const size_t end = payload.find('\0');
  if (end == std::string_view::npos) return store_fail(StoreErrc::kInvalid);
  const std::string path = TRY(resolve(payload.substr(0, end)));
  TRY_VOID(service_.tree().write(who(), transaction_, path, payload.substr(end + 1)));
  return ok();
}

StoreResult<std::string> StoreRequests::make_directory(std::string_view payload) {
  const std::string path = TRY(only_path(payload));
  TRY_VOID(service_.tree().make_directory(who(), transaction_, path));
  return ok();
}

StoreResult<std::string> StoreRequests::remove(std::string_view payload) {
  const std::string path = TRY(only_path(payload));
  TRY_VOID(service_.tree().remove(who(), transaction_, path));
  return ok();
}

StoreResult<std::string> StoreRequests::get_permissions(std::string_view payload) {
  const std::string_view name = TRY(only_string(payload));
  StorePermissions permissions;
  if (is_special_watch(name)) {
    permissions = service_.special_permissions(name);
    if (!allows(permissions, who(), StoreRight::kRead)) return store_fail(StoreErrc::kAccess);
  } else {
    const std::string path = TRY(resolve(name));
    permissions = TRY(service_.tree().read(who(), transaction_, path))->permissions;
  }
  std::string reply;
  for (const StorePermission& each : permissions)
    reply += terminated(format_store_permission(each));
  return reply;
}

StoreResult<std::string> StoreRequests::set_permissions(std::string_view payload) {
  const auto arguments = TRY(split_strings(payload));
  if (arguments.size() < 2) return store_fail(StoreErrc::kInvalid);
  StorePermissions permissions;
  for (size_t i = 1; i < arguments.size(); i++) {
    const StorePermission each = TRY(parse_store_permission(arguments[i]));
    // A domain that is not there gets nothing that it would find when its number is used again
    // (X9). Domain 0 may prepare for one that it is about to introduce.
    const bool absent = i > 1 && !who().is_privileged() && !service_.is_introduced(each.domain);
    if (!absent) permissions.push_back(each);
  }
  if (is_special_watch(arguments[0])) {
    if (!who().is_privileged()) return store_fail(StoreErrc::kAccess);
    service_.set_special_permissions(arguments[0], std::move(permissions));
    return ok();
  }
  const std::string path = TRY(resolve(arguments[0]));
  TRY_VOID(service_.tree().set_permissions(who(), transaction_, path, std::move(permissions)));
  return ok();
}

StoreResult<std::string> StoreRequests::watch(std::string_view payload) {
  const auto arguments = TRY(split_strings(payload));
  if (arguments.size() != 2) return store_fail(StoreErrc::kInvalid);
  const std::string_view name = arguments[0];
  if (arguments[1].size() > kTokenMax) return store_fail(StoreErrc::kTooBig);
  const bool absolute = is_special_watch(name) || name.starts_with('/');
  const std::string path = is_special_watch(name) ? std::string(name) : TRY(resolve(name));
  StoreService::Usage& usage = service_.usage(session_.domain_);
  const StoreLimits& limits = service_.limits();
  if (usage.watches >= (who().is_privileged() ? limits.privileged_watches : limits.watches))
    return store_fail(StoreErrc::kTooBig);
  const size_t shown_from = absolute ? 0 : path.size() - name.size();
  const auto* watch = TRY(service_.watches().add(session_.domain_, &session_.events_, path,
                                                 shown_from, std::string(arguments[1])));
  usage.watches++;
  watch->fire(path);
  return ok();
}

StoreResult<std::string> StoreRequests::unwatch(std::string_view payload) {
  const auto arguments = TRY(split_strings(payload));
  if (arguments.size() != 2) return store_fail(StoreErrc::kInvalid);
  const std::string_view name = arguments[0];
  const std::string path = is_special_watch(name) ? std::string(name) : TRY(resolve(name));
  TRY_VOID(service_.watches().remove(&session_.events_, path, std::string(arguments[1])));
  service_.usage(session_.domain_).watches--;
  return ok();
}

StoreResult<std::string> StoreRequests::reset_watches(std::string_view) {
  reset();
  return ok();
}

StoreResult<std::string> StoreRequests::transaction_start(std::string_view) {
  if (transaction_) return store_fail(StoreErrc::kBusy);
  StoreService::Usage& usage = service_.usage(session_.domain_);
  const StoreLimits& limits = service_.limits();
  const size_t most = who().is_privileged() ? limits.privileged_transactions : limits.transactions;
  if (usage.transactions >= most) return store_fail(StoreErrc::kNoSpace);
  uint32_t& id = session_.last_transaction_;
  do {
    id++;
  } while (id == 0 || session_.transactions_.contains(id));
  session_.transactions_.emplace(id, service_.tree().begin(who()));
  usage.transactions++;
  return terminated(std::to_string(id));
}

StoreResult<std::string> StoreRequests::transaction_end(std::string_view payload) {
  const std::string_view commit = TRY(only_string(payload));
  if (commit != "T" && commit != "F") return store_fail(StoreErrc::kInvalid);
  if (!transaction_) return store_fail(StoreErrc::kNotFound);
  session_.transactions_.erase(transaction_id_);
  service_.usage(session_.domain_).transactions--;
  if (commit == "T") {
    TRY_VOID(service_.tree().commit(who(), transaction_));
  } else {
    service_.tree().abort(transaction_);
  }
  return ok();
}

// Real hosts pass the frame and the event channel of the domain's ring too; here only the domain
// counts. Again for one that is there: fine, as after a resume.
StoreResult<std::string> StoreRequests::introduce(std::string_view payload) {
  const auto arguments = TRY(split_strings(payload));
  if (arguments.size() != 3) return store_fail(StoreErrc::kInvalid);
  const DomId domain = TRY(parse_domain(arguments[0]));
  if (!service_.is_introduced(domain)) TRY_VOID(service_.introduce(domain));
  return ok();
}

StoreResult<std::string> StoreRequests::release(std::string_view payload) {
  const DomId domain = TRY(only_domain(payload));
  TRY_VOID(service_.release(domain));
  return ok();
}

StoreResult<std::string> StoreRequests::resume(std::string_view payload) {
  const DomId domain = TRY(only_domain(payload));
  if (!service_.is_introduced(domain)) return store_fail(StoreErrc::kNotFound);
  return ok();
}

StoreResult<std::string> StoreRequests::set_target(std::string_view payload) {
  const auto arguments = TRY(split_strings(payload));
  if (arguments.size() != 2) return store_fail(StoreErrc::kInvalid);
  const DomId domain = TRY(parse_domain(arguments[0]));
  const DomId target = TRY(parse_domain(arguments[1]));
  TRY_VOID(service_.set_target(domain, target));
  return ok();
}

StoreResult<std::string> StoreRequests::get_domain_path(std::string_view payload) {
  const DomId domain = TRY(only_domain(payload));
  return terminated(store_home(domain));
}

StoreResult<std::string> StoreRequests::is_domain_introduced(std::string_view payload) {
  const DomId domain = TRY(only_domain(payload));
  return terminated(service_.is_introduced(domain) ? "T" : "F");
}

}  // namespace splitring
