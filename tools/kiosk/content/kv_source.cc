#include "tools/kiosk/content/kv_source.h"

#include <spdlog/spdlog.h>

#include <algorithm>
#include <condition_variable>
#include <mutex>
#include <nlohmann/json.hpp>
#include <utility>

#include "base/parse.h"
#include "kv/key.h"
#include "kv/tree/format.h"
#include "tools/kiosk/content/content_tag.h"
#include "tools/kiosk/content/kv_change.h"
#include "tools/kiosk/content/representation.h"
#include "tools/kiosk/http/content_type.h"
#include "tools/kiosk/http/loop.h"
#include "tools/kiosk/observe/host_guard.h"

namespace splitring::kiosk {
namespace {

using http::Exchange;
using http::Request;
using http::Response;

constexpr size_t kPieceBytes = size_t{128} << 10;
constexpr std::string_view kUnknownHost =
    "A store is shown to who calls the service by its address. To call it by a name, start the "
    "kiosk with --name NAME.";

// The parts of a long value, read as the client takes them, of the state that the answer began in.
class KvParts final : public http::BodyStream {
 public:
  KvParts(KvMount::StreamTicket ticket, kv::View view, std::string key, std::vector<Part> parts,
          http::WorkerMetrics& metrics)
      : ticket_(std::move(ticket)),
        view_(std::move(view)),
        key_(std::move(key)),
        parts_(std::move(parts)),
        metrics_(metrics),
        piece_(kPieceBytes) {}

  void next(Exchange& exchange) override {
    while (part_ < parts_.size()) {
      const Part& part = parts_[part_];
      if (!text_given_ && !part.text.empty()) {
        text_given_ = true;
        return exchange.give(std::as_bytes(std::span(part.text)));
      }
      if (at_ < part.bytes.length) return give_bytes(exchange, part.bytes);
      part_++;
      at_ = 0;
      text_given_ = false;
    }
    exchange.abort();
  }

 private:
  void give_bytes(Exchange& exchange, const http::ByteRange& bytes) {
    const uint64_t left = bytes.length - at_;
    const auto space = std::span(piece_).first(std::min<uint64_t>(left, piece_.size()));
    const auto count = view_.read(kv::kDefaultTree, key_, bytes.first + at_, space);
    if (!count || *count == 0) {
      metrics_.disk_read_errors.add();
      if (!count) spdlog::error("{}", count.error().what);
      return exchange.abort();
    }
    at_ += *count;
    exchange.give(space.first(*count));
  }

  const KvMount::StreamTicket ticket_;
  kv::View view_;
  const std::string key_;
  const std::vector<Part> parts_;
  http::WorkerMetrics& metrics_;
  std::vector<std::byte> piece_;
  size_t part_ = 0;
  uint64_t at_ = 0;  // of the part's bytes
  bool text_given_ = false;
};

std::string joined(const std::vector<Part>& parts, std::string_view value) {
  std::string body;
  for (const Part& part : parts) {
    body += part.text;
    body += value.substr(part.bytes.first, part.bytes.length);
  }
  return body;
}

Response busy() {
  Response response = http::status_page(503);
  response.add("Retry-After", "5");
  return response;
}

// What somebody stored is not one of our pages: it runs nothing and belongs to no site.
void isolate(Response& response) {
  response.add("Content-Security-Policy", "sandbox; default-src 'none'");
}

// "?limit=5&after=x": decoded; nothing: not there, or malformed.
std::optional<std::string> query_value(std::string_view query, std::string_view name) {
  while (!query.empty()) {
    query.remove_prefix(1);
    const size_t end = std::min(query.find('&'), query.size());
    const std::string_view pair = query.substr(0, end);
    if (pair.starts_with(name) && pair.substr(name.size()).starts_with('='))
      return http::percent_decode(pair.substr(name.size() + 1));
    query.remove_prefix(end);
  }
  return std::nullopt;
}

}  // namespace

// Answers on their way from the mount's threads to this one. Outlives the source: they hold it.
class KvSource::Answers {
 public:
  void expect() {
    const std::lock_guard lock(mutex_);
    expected_++;
  }
  // The loop is there as long as an answer is expected: it hears of this one under the lock.
  static void put(const std::shared_ptr<Answers>& to, Exchange& exchange, Response response) {
    const std::lock_guard lock(to->mutex_);
    to->made_.emplace_back(&exchange, std::move(response));
    to->changed_.notify_one();
    exchange.loop().post([to] { to->send(); });
  }
  void send() {
    std::vector<std::pair<Exchange*, Response>> made;
    {
      const std::lock_guard lock(mutex_);
      made.swap(made_);
      expected_ -= made.size();
    }
    for (auto& [exchange, response] : made) exchange->send(std::move(response));
  }
  // Waits for one, if one is expected.
  bool wait() {
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [this] { return expected_ == 0 || !made_.empty(); });
    return expected_ != 0;
  }

 private:
  std::mutex mutex_;
  std::condition_variable changed_;
  std::vector<std::pair<Exchange*, Response>> made_;
  size_t expected_ = 0;  // those made included
};

KvSource::KvSource(KvMount& mount, http::WorkerMetrics& metrics)
    : mount_(mount),
      session_(mount.take_reader()),
      metrics_(metrics),
      answers_(std::make_shared<Answers>()) {}

KvSource::~KvSource() { drain(); }

void KvSource::drain() {
  while (answers_->wait()) answers_->send();
}

bool KvSource::serve(const Request& request, Exchange& exchange) {
  const std::string_view route = mount_.options().route;
  if (!request.path.starts_with(route)) return false;
  if (!is_known_host(request.header(http::Known::kHost), mount_.options().names)) {
    exchange.send(http::status_page(403, kUnknownHost));
    return true;
  }
  const std::string key(request.path.substr(route.size()));
  const bool is_list = key.empty() || key.ends_with('/');
  const auto done = is_list ? list(request, exchange, key) : show(request, exchange, key);
  if (done) return true;
  if (done.error().code == Errc::kInvalid) {
    exchange.send(http::status_page(404));
  } else if (done.error().code == Errc::kLimit) {
    exchange.send(busy());
  } else {
    metrics_.disk_read_errors.add();
    spdlog::error("{}: {}", kv::printable_key(key), done.error().what);
    exchange.send(http::status_page(500));
  }
  return true;
}

// Fails before it has answered, or not at all.
Result<> KvSource::show(const Request& request, Exchange& exchange, const std::string& key) {
  kv::View view = TRY(session_->view());
  const auto item = TRY(view.find(kv::kDefaultTree, key));
  if (!item) {
    exchange.send(http::status_page(404));
    return {};
  }
  Representation file{.type = http::content_type(key),
                      .size = item->size,
                      .mtime_s = item->modified_s.value_or(0),
                      .etag = {}};
  if (item->size > kMostWholeValue) {
    file.etag = TRY(tag_of(view, key)).value_or("");
    Plan made = plan(request, file);
    isolate(made.response);
    if (made.parts.empty()) {
      exchange.send(std::move(made.response));
      return {};
    }
    auto ticket = mount_.begin_stream();
    if (ticket == nullptr)
      exchange.send(busy());
    else
      exchange.send(std::move(made.response), made.length,
                    std::make_unique<KvParts>(std::move(ticket), std::move(view), key,
                                              std::move(made.parts), metrics_));
    return {};
  }
  std::string value;
  (void)TRY(view.get(kv::kDefaultTree, key, value));
  file.etag = content_tag(std::as_bytes(std::span(value)));
  Plan made = plan(request, file);
  isolate(made.response);
  if (!made.parts.empty()) made.response.body = joined(made.parts, value);
  exchange.send(std::move(made.response));
  return {};
}

Result<> KvSource::list(const Request& request, Exchange& exchange, const std::string& prefix) {
  const auto limit_text = query_value(request.query, "limit");
  const uint64_t limit =
      std::min(kMostListed, parse_decimal(limit_text.value_or("")).value_or(kFewListed));
  const std::string after = query_value(request.query, "after").value_or("");
  kv::View view = TRY(session_->view());
  kv::TreeCursor cursor = view.cursor(kv::kDefaultTree, kv::KeyRange::prefix(prefix));
  bool more = after.empty() ? TRY(cursor.first()) : TRY(cursor.seek(after));
  if (more && cursor.key() == after) more = TRY(cursor.next());
  nlohmann::json json{{"keys", nlohmann::json::array()}};
  std::string last;
  for (; more && json["keys"].size() < limit; more = TRY(cursor.next())) {
    const kv::Item item = TRY(view.item(cursor));
    last = cursor.key();
    nlohmann::json entry{{"key", last}, {"size", item.size}};
    if (item.modified_s) entry["mtime"] = *item.modified_s;
    json["keys"].push_back(std::move(entry));
  }
  // As it stands behind ?after=.
  if (more && !last.empty()) json["next"] = http::percent_encode_path(last);
  Response response =
      http::fresh_page("application/json",
                       json.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace) + "\n");
  isolate(response);
  exchange.send(std::move(response));
  return {};
}

void KvSource::hand_over(Exchange& exchange, std::function<Response(kv::Session&)> work) {
  answers_->expect();
  const bool taken =
      mount_.post([answers = answers_, to = &exchange, work = std::move(work)](
                      kv::Session& session) { Answers::put(answers, *to, work(session)); });
  if (!taken) Answers::put(answers_, exchange, http::status_page(503));
}

bool KvSource::serve_change(const Request& request, Exchange& exchange) {
  const std::string_view route = mount_.options().route;
  if (!request.path.starts_with(route) || mount_.options().read_only) return false;
  std::string key(request.path.substr(route.size()));
  const auto refuse = [&](unsigned status, std::string_view why = {}) {
    exchange.send(http::status_page(status, why));
    return true;
  };
  if (!request.is_same_origin()) return refuse(403);
  if (!is_known_host(request.header(http::Known::kHost), mount_.options().names))
    return refuse(403, kUnknownHost);
  if (key.empty() || key.ends_with('/')) return refuse(400, "A list is not to be changed.");
  if (key.size() > kv::kMaxUserKeyBytes) return refuse(414);
  const auto change = std::make_shared<const KvChange>(request, std::move(key));
  if (request.method == http::Method::kDelete) {
    hand_over(exchange, [change](kv::Session& session) { return change->apply(session, nullptr); });
    return true;
  }
  if (!request.content_length && !request.is_chunked) return refuse(411);
  exchange.take_body(mount_.options().most_bytes,
                     [this, change, to = &exchange](http::RequestBody body) {
                       const auto kept = std::make_shared<http::RequestBody>(std::move(body));
                       hand_over(*to, [change, kept](kv::Session& session) {
                         return change->apply(session, kept.get());
                       });
                     });
  return true;
}

}  // namespace splitring::kiosk
