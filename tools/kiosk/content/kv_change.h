// One PUT or DELETE upon a store: its conditions and what it does, as one transaction.
#pragma once

#include <optional>
#include <string>

#include "kv/tree/session.h"
#include "tools/kiosk/http/request.h"
#include "tools/kiosk/http/request_body.h"
#include "tools/kiosk/http/response.h"

namespace splitring::kiosk {

// Longer values are streamed, and their tag is of the writing, not of the bytes.
inline constexpr uint64_t kMostWholeValue = uint64_t{1} << 20;

// The strong ETag of a value; nothing: no such key.
Result<std::optional<std::string>> tag_of(kv::TreeReader& reader, std::string_view key);

class KvChange {
 public:
  KvChange(const http::Request& request, std::string key);

  // Its answer: 201 or 204 with the new ETag, 404, 412 if a condition does not hold, 507, 500. Any
  // thread, the session's. `body`: of a PUT.
  http::Response apply(kv::Session& session, const http::RequestBody* body) const;

 private:
  struct Done {
    bool existed = false;
    bool holds = true;  // its conditions
    std::string tag;    // after it
  };
  Result<Done> remove(kv::Session& session) const;
  Result<Done> put(kv::Session& session, const http::RequestBody& body) const;
  // Whether the conditions hold; says in `done` what was there.
  Result<bool> may_go_on(kv::TreeReader& reader, Done& done) const;

  std::string key_;
  std::string if_match_;
  std::string if_none_match_;
};

}  // namespace splitring::kiosk
