#include "tools/kiosk/content/kv_change.h"

#include <spdlog/spdlog.h>

#include <array>
#include <cstdio>
#include <ctime>

#include "kv/key.h"
#include "tools/kiosk/content/content_tag.h"
#include "tools/kiosk/http/http_text.h"

namespace splitring::kiosk {
namespace {

using http::Response;

// A value that lies elsewhere has a number that no other writing of any value has.
std::string written_tag(uint64_t number, const kv::Item& item) {
  std::array<char, 80> text;
  std::snprintf(text.data(), text.size(), "\"w%llx-%llx-%llx\"",
                static_cast<unsigned long long>(number), static_cast<unsigned long long>(item.size),
                static_cast<unsigned long long>(item.modified_s.value_or(0)));
  return text.data();
}

Response answer_for(const Error& error, std::string_view key) {
  if (error.code == Errc::kNoSpace) return http::status_page(507);
  if (error.code == Errc::kLimit || error.code == Errc::kInvalid)
    return http::status_page(400, error.what);
  spdlog::error("{}: {}", kv::printable_key(key), error.what);
  return http::status_page(500);
}

Result<std::string> text_of(const http::RequestBody& body) {
  if (body.is_in_memory()) return body.text();
  std::string text(body.size(), '\0');
  for (size_t at = 0; at < text.size();)
    at += TRY(body.read(at, std::as_writable_bytes(std::span(text).subspan(at))));
  return text;
}

}  // namespace

Result<std::optional<std::string>> tag_of(kv::TreeReader& reader, std::string_view key) {
  kv::TreeCursor cursor = reader.cursor(kv::kDefaultTree);
  if (!TRY(cursor.seek(key)) || cursor.key() != key) return std::optional<std::string>();
  const kv::Item item = TRY(reader.item(cursor));
  const auto number = kv::number_elsewhere(cursor.payload());
  if (item.size > kMostWholeValue && number) return std::optional(written_tag(*number, item));
  std::string value;
  TRY_VOID(reader.value(cursor, value));
  return std::optional(content_tag(std::as_bytes(std::span(value))));
}

KvChange::KvChange(const http::Request& request, std::string key)
    : key_(std::move(key)),
      if_match_(request.header(http::Known::kIfMatch)),
      if_none_match_(request.header(http::Known::kIfNoneMatch)) {}

Response KvChange::apply(kv::Session& session, const http::RequestBody* body) const {
  const auto done = body != nullptr ? put(session, *body) : remove(session);
  if (!done) return answer_for(done.error(), key_);
  if (!done->holds) return http::status_page(412, "The value is not the one that was meant.");
  if (body == nullptr && !done->existed) return http::status_page(404);
  Response response;
  response.status = body != nullptr && !done->existed ? 201 : 204;
  if (body != nullptr) response.add("ETag", done->tag);
  return response;
}

Result<bool> KvChange::may_go_on(kv::TreeReader& reader, Done& done) const {
  if (if_match_.empty() && if_none_match_.empty()) {
    done.existed = TRY(reader.find(kv::kDefaultTree, key_)).has_value();
    return true;
  }
  const auto tag = TRY(tag_of(reader, key_));
  done.existed = tag.has_value();
  const bool matches = if_match_.empty() ||
                       (tag && http::etag_list_holds(if_match_, *tag, http::EtagMatch::kStrong));
  const bool none_matches =
      if_none_match_.empty() || !tag || !http::etag_list_holds(if_none_match_, *tag);
  done.holds = matches && none_matches;
  return done.holds;
}

Result<KvChange::Done> KvChange::remove(kv::Session& session) const {
  Done done;
  TRY_VOID(session.with_tx([&](kv::Transaction& tx) -> Result<> {
    if (!TRY(may_go_on(tx, done)) || !done.existed) return {};
    return tx.remove(kv::kDefaultTree, key_);
  }));
  return done;
}

Result<KvChange::Done> KvChange::put(kv::Session& session, const http::RequestBody& body) const {
  const auto now = static_cast<int64_t>(std::time(nullptr));
  Done done;
  if (body.size() <= kMostWholeValue) {
    const std::string text = TRY(text_of(body));
    TRY_VOID(session.with_tx([&](kv::Transaction& tx) -> Result<> {
      if (!TRY(may_go_on(tx, done))) return {};
      return tx.put(kv::kDefaultTree, key_, text, now);
    }));
    done.tag = content_tag(std::as_bytes(std::span(text)));
    return done;
  }
  uint64_t at = 0;
  kv::StagedValue staged = TRY(session.stage([&](std::span<std::byte> out) -> Result<size_t> {
    const size_t count = TRY(body.read(at, out));
    at += count;
    return count;
  }));
  TRY_VOID(session.with_tx([&](kv::Transaction& tx) -> Result<> {
    if (!TRY(may_go_on(tx, done))) return {};
    TRY_VOID(tx.put_staged(kv::kDefaultTree, key_, std::move(staged), now));
    done.tag = TRY(tag_of(tx, key_)).value_or("");
    return {};
  }));
  return done;
}

}  // namespace splitring::kiosk
