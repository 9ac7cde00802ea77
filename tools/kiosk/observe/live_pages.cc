#include "tools/kiosk/observe/live_pages.h"

#include "kv/compiled_store.h"
#include "tools/kiosk/http/content_type.h"
#include "tools/kiosk/http/loop.h"

// Made by `splitring crunch` from tools/kiosk/live (Makefile).
extern "C" const unsigned char kiosk_live[];

namespace splitring::kiosk {
namespace {

using http::Request;
using http::Response;
using Json = nlohmann::ordered_json;

// Its own files and its own socket, and nothing else from anywhere.
constexpr std::string_view kLivePolicy =
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'";
constexpr size_t kMaxChildren = 10'000;
// A client that is so far behind gets no more until it has caught up.
constexpr size_t kMaxBehindBytes = size_t{256} << 10;

Response json_page(const Json& json, unsigned status = 200) {
  Response response = http::fresh_page("application/json", to_text(json) + "\n");
  response.status = status;
  return response;
}

// ---- the page and its assets
// ---------------------------------------------------------------------

Response asset(const Request& request) {
  // Damaged is what cannot be: the linker put it there. Cheap enough to open for each request.
  const auto store = kv::CompiledStore::load(kiosk_live);
  if (!store) return http::status_page(500, store.error().what);
  std::string_view key = request.path;
  key.remove_prefix(std::min(key.size(), sizeof("/_live") - 1));
  if (key.empty() || key == "/") key = "index.html";
  const auto bytes = (*store)->get(key);
  if (!bytes) return http::status_page(404);
  Response response = http::fresh_page(http::content_type(key), *bytes);
  response.add("Content-Security-Policy", kLivePolicy);
  response.add("Referrer-Policy", "no-referrer");
  return response;
}

// ---- the socket
// ------------------------------------------------------------------------------------

// Samples come from the feed's thread; the socket is its loop's.
class LiveSocket final : public http::WebSocketHandler {
 public:
  LiveSocket(LiveFeed& feed, http::Loop& loop) : feed_(feed), loop_(loop) {}

  void on_open(http::WebSocket& socket) override {
    open_ = std::make_shared<Open>(Open{&socket});
    listener_ = feed_.listen([&loop = loop_, open = open_](const auto& message) {
      loop.post([open, message] {
        if (open->socket != nullptr && open->socket->waiting_bytes() < kMaxBehindBytes)
          open->socket->send_text(*message);
      });
    });
    if (!listener_) socket.close();
  }
  void on_close() override {
    open_->socket = nullptr;
    listener_.reset();
  }

 private:
  struct Open {
    http::WebSocket* socket;  // null once it is closed; the loop's thread only
  };

  LiveFeed& feed_;
  http::Loop& loop_;
  std::shared_ptr<Open> open_;
  std::unique_ptr<LiveFeed::Listener> listener_;
};

// ---- /api/store
// ------------------------------------------------------------------------------------

void add_entry(Json& json, const kv::Entry& entry) {
  json["kind"] = kv::to_string(entry.kind);
  if (entry.kind == kv::Kind::kValue) json["size"] = entry.size;
  json["modified"] = entry.modified_s ? Json(*entry.modified_s) : Json(nullptr);
  if (entry.is_link) json["link"] = true;
}

Response store_page(kv::ReadStore& store, std::string_view path) {
  const auto key = kv::normal_key(path);
  if (!key) return json_page({{"error", key.error().what}}, 400);
  const auto entry = store.find(*key);
  if (!entry) return json_page({{"error", entry.error().what}}, 500);
  if (!*entry) return json_page({{"error", "no such key"}, {"key", *key}}, 404);
  Json json = {{"key", *key}};
  add_entry(json, **entry);
  if ((*entry)->kind == kv::Kind::kValue) return json_page(json);
  const auto children = store.list(*key);
  if (!children) return json_page({{"error", children.error().what}}, 500);
  Json listed = Json::array();
  for (const kv::Child& child : *children) {
    if (listed.size() == kMaxChildren) break;
    Json& one = listed.emplace_back(Json{{"name", child.name}});
    add_entry(one, child.entry);
  }
  json["children"] = std::move(listed);
  json["children_count"] = children->size();
  return json_page(json);
}

}  // namespace

void add_live_pages(http::Pages& pages, const LiveSources& sources) {
  pages.add("/_live", asset);
  pages.add("/_live/", asset);
  pages.add_socket("/_live/socket", [&feed = sources.feed](const Request&, http::Loop& loop) {
    return std::make_unique<LiveSocket>(feed, loop);
  });
  pages.add("/api/devices", [&devices = sources.devices](const Request&) {
    return json_page(devices_json(devices.status()));
  });
  pages.add("/api/statistics", [&feed = sources.feed](const Request&) {
    return http::fresh_page("application/json", *feed.latest() + "\n");
  });
  pages.add("/api/store/", [open = sources.store](const Request& request) {
    const auto store = open();
    if (!store) return json_page({{"error", "there is no content at the moment"}}, 503);
    return store_page(*store, request.path.substr(sizeof("/api/store") - 1));
  });
}

}  // namespace splitring::kiosk
