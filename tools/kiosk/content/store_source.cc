#include "tools/kiosk/content/store_source.h"

#include <spdlog/spdlog.h>
#include <xxhash.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <cstdio>

#include "tools/kiosk/content/compress.h"
#include "tools/kiosk/content/content_tag.h"
#include "tools/kiosk/content/fill.h"
#include "tools/kiosk/http/content_type.h"
#include "tools/kiosk/http/html_page.h"
#include "tools/kiosk/http/loop.h"

namespace splitring::kiosk {
namespace {

using http::Exchange;
using http::Known;
using http::Request;
using http::Response;

constexpr std::chrono::milliseconds kAskAgain{500};

// Of what is too large to be read for it: good for as long as the volume is.
std::string place_tag(uint64_t serial, std::string_view key, const kv::Entry& entry) {
  const XXH64_hash_t name = XXH3_64bits(key.data(), key.size());
  std::array<char, 80> text;
  std::snprintf(text.data(), text.size(), "\"%llx-%llx-%llx\"",
                static_cast<unsigned long long>(serial), static_cast<unsigned long long>(name),
                static_cast<unsigned long long>(entry.size));
  return text.data();
}

}  // namespace

StoreSource::StoreSource(const VolumeSlot& slot, const StoreSourceOptions& options,
                         http::Loop& loop, http::WorkerMetrics& metrics)
    : slot_(slot),
      options_(options),
      loop_(loop),
      metrics_(metrics),
      cache_(options.cache_bytes),
      ask_again_(loop, [this] { ask_old_disks(); }),
      // A thread that nobody asks must let go of an old volume too.
      subscription_(slot.subscribe([this] { loop_.post([this] { (void)mount_current(); }); })) {
  loop.add_end_of_turn(*this);
}

StoreSource::~StoreSource() {
  slot_.unsubscribe(subscription_);
  drain();
  loop_.remove_end_of_turn(*this);
}

void StoreSource::drain() {
  const std::vector<std::weak_ptr<Mount>> mounts = mounts_;
  for (const std::weak_ptr<Mount>& weak : mounts)
    if (const auto mount = weak.lock(); mount != nullptr && mount->reader() != nullptr)
      mount->reader()->drain();
  while (at_end_of_turn()) {
  }
}

// A mount goes between two turns of the loop, never from within its own lane's completions.
StoreSource::Mounted StoreSource::mount_current() {
  const uint64_t generation = slot_.generation();
  if (generation == generation_) return mounted_;
  generation_ = generation;
  for (auto& [key, fill] : fills_) {
    fill->is_old = true;
    old_fills_.push_back(std::move(fill));
  }
  fills_.clear();
  cache_.clear();
  mount_.reset();
  ask_old_disks();
  const auto volume = slot_.get();
  mounted_ = volume == nullptr ? Mounted::kNothing : Mounted::kRefused;
  if (volume == nullptr) return mounted_;
  serial_ = volume->serial();
  auto mount = volume->mount(volume, loop_, metrics_);
  if (!mount) {
    spdlog::error("{}: {}", volume->name(), mount.error().what);
    return mounted_;
  }
  mount_ = std::shared_ptr<Mount>(mount->release(), [&loop = loop_](Mount* gone) {
    loop.post([last = std::shared_ptr<Mount>(gone)] { (void)last; });
  });
  std::erase_if(mounts_, [](const std::weak_ptr<Mount>& old) { return old.expired(); });
  mounts_.push_back(mount_);
  return mounted_ = Mounted::kVolume;
}

// A read of a disk that was replaced, by which to learn whether it has gone.
struct StoreSource::Question : BlockRequest {
  StoreSource* source = nullptr;
  std::shared_ptr<Mount> mount;
  LaneMemory memory;
  iovec buffer{};
};

// A client that takes its time would keep a disk that has gone, and with it all that was granted
// for it: the next one could not be connected for as long. One that is still there is asked again:
// it may be on its way out.
void StoreSource::ask_old_disks() {
  const std::vector<std::weak_ptr<Mount>> mounts = mounts_;
  for (const std::weak_ptr<Mount>& weak : mounts)
    if (const auto mount = weak.lock(); mount != nullptr && mount != mount_) ask_old_disk(mount);
}

void StoreSource::ask_old_disk(const std::shared_ptr<Mount>& mount) {
  LaneReader* const reader = mount->reader();
  const bool is_streaming = std::ranges::any_of(
      budget_->streams, [&](const PartStream* stream) { return stream->is_of(*mount); });
  if (!is_streaming || reader == nullptr || asked_.contains(mount.get())) return;
  const uint32_t block = reader->lane().geometry().logical_block_bytes;
  auto memory = LaneMemory::allocate(reader->lane(), block);
  if (!memory) return;
  auto* const question = new Question;  // its completion's, which comes exactly once
  question->source = this;
  question->mount = mount;
  question->memory = std::move(*memory);
  question->buffer = {question->memory.bytes().data(), block};
  question->buffers = std::span(&question->buffer, 1);
  question->complete = [](BlockRequest& request) noexcept {
    const std::unique_ptr<Question> answered(static_cast<Question*>(&request));
    StoreSource& source = *answered->source;
    source.asked_.erase(answered->mount.get());
    if (answered->status == IoStatus::kGone)
      source.cut_streams_of(*answered->mount);
    else
      source.ask_again_.set(source.loop_.now() + kAskAgain);
    answered->memory = {};
  };
  asked_.insert(mount.get());
  reader->start(*question);
}

void StoreSource::cut_streams_of(const Mount& mount) {
  const std::vector<PartStream*> streams(budget_->streams.begin(), budget_->streams.end());
  for (PartStream* const stream : streams)
    if (stream->is_of(mount)) stream->cut();
}

std::string_view StoreSource::cache_key(const Request& request) {
  const std::string_view accepts = request.header(Known::kAcceptEncoding);
  if (accepts != accept_encoding_) {
    accept_encoding_ = accepts;
    choice_ = accepted_codings(accepts);
  }
  // Parts are of what the store holds, not of what is made from it.
  const bool wants_parts = !request.header(Known::kRange).empty();
  key_.assign(1, static_cast<char>(choice_.key()));
  key_ += wants_parts ? 'p' : 'w';
  key_ += request.path;
  return key_;
}

bool StoreSource::serve(const Request& request, Exchange& exchange) {
  switch (mount_current()) {
    case Mounted::kNothing: return false;
    case Mounted::kVolume: break;
    case Mounted::kRefused:  // what other threads can read is not for another source to answer
      exchange.send(http::status_page(503));
      return true;
  }
  if (const CachedResponse* const cached = cache_.find(cache_key(request))) {
    answer(request, exchange, *cached);
    return true;
  }
  return serve_uncached(request, exchange);
}

bool StoreSource::serve_uncached(const Request& request, Exchange& exchange) {
  if (const auto fill = fills_.find(key_); fill != fills_.end()) {
    fill->second->wait(request, exchange);
    return true;
  }
  const auto key = kv::normal_key(request.path);
  if (!key) return false;
  const auto entry = mount_->store().find(*key);
  if (!entry) {
    metrics_.disk_read_errors.add();
    exchange.send(http::status_page(500));
    return true;
  }
  if (!*entry) return false;
  if ((*entry)->kind == kv::Kind::kDictionary) return serve_directory(request, exchange, *key);
  if (request.path.ends_with('/')) return false;
  return serve_value(request, exchange, *key, **entry);
}

bool StoreSource::serve_directory(const Request& request, Exchange& exchange,
                                  const std::string& key) {
  if (!request.path.ends_with('/')) {
    // Of the key, so never "//host": a redirect stays here. A query holds no line ends: it came in
    // the request's first line.
    Response response = http::status_page(301);
    response.add("Location", "/" + http::percent_encode_path(key) + (key.empty() ? "" : "/") +
                                 std::string(request.query));
    exchange.send(std::move(response));
    return true;
  }
  const std::string index = kv::child_key(key, "index.html");
  const auto entry = mount_->store().find(index);
  if (entry && *entry && (*entry)->kind == kv::Kind::kValue)
    return serve_value(request, exchange, index, **entry);
  if (!options_.lists_directories) return false;
  serve_listing(exchange, key);
  return true;
}

void StoreSource::serve_listing(Exchange& exchange, const std::string& key) {
  const auto children = mount_->store().list(key);
  if (!children) {
    metrics_.disk_read_errors.add();
    return exchange.send(http::status_page(500));
  }
  std::vector<http::ListedEntry> listed;
  for (const kv::Child& child : *children)
    listed.push_back({.name = child.name,
                      .is_directory = child.entry.kind == kv::Kind::kDictionary,
                      .size = child.entry.size,
                      .mtime_s = child.entry.modified_s.value_or(0)});
  std::stable_partition(listed.begin(), listed.end(),
                        [](const http::ListedEntry& e) { return e.is_directory; });
  const size_t shown = std::min(listed.size(), http::kMaxListed);
  Response response;
  response.add("Content-Type", "text/html; charset=utf-8");
  response.add("Cache-Control", "no-cache");
  response.add("Content-Security-Policy", http::kOwnPagePolicy);
  response.body = http::directory_page(key, std::span(listed).first(shown), listed.size() - shown);
  const bool fits = response.body.size() <= cache_.limit_bytes() / 8 &&
                    cache_.make_room(http::Prepared::cost(response.body.size()));
  if (!fits) return exchange.send(std::move(response));
  const std::string body = std::move(response.body);
  auto made = http::Prepared::make(response, std::as_bytes(std::span(body)), cache_.live_bytes());
  if (!made) return exchange.send(http::status_page(500));
  exchange.send(cache_.add({key_, std::move(made), std::nullopt}).whole);
}

Result<StoreSource::Found> StoreSource::find_value(const std::string& key, const kv::Entry& entry,
                                                   bool may_compress) {
  kv::ReadStore& store = mount_->store();
  Found found;
  found.file.type = http::content_type(key);
  kv::Entry chosen = entry;
  std::string chosen_key = key;
  bool is_chosen = false;
  for (const Coding coding : {Coding::kBrotli, Coding::kZstd, Coding::kGzip}) {
    const std::string name = key + std::string(coding_suffix(coding));
    const auto variant = TRY(store.find(name));
    if (!variant || variant->kind != kv::Kind::kValue) continue;
    found.file.varies = true;
    const auto order = std::span(choice_.order).first(choice_.count);
    const auto at = std::find(order.begin(), order.end(), coding);
    const auto best = std::find(order.begin(), order.end(), found.file.coding);
    if (at >= best) continue;
    found.file.coding = coding;
    chosen = *variant;
    chosen_key = name;
    is_chosen = true;
  }
  const bool pays = may_compress && is_compressible(found.file.type) &&
                    entry.size >= kLeastCompressed && entry.size <= kMostCompressed;
  found.file.varies = found.file.varies || pays;
  if (pays && !is_chosen) found.to_make = coding_to_make(choice_);
  found.file.size = chosen.size;
  found.file.mtime_s = chosen.modified_s.value_or(0);
  found.file.etag = place_tag(serial_, chosen_key, chosen);
  found.value = TRY(store.open(chosen_key));
  return found;
}

bool StoreSource::serve_value(const Request& request, Exchange& exchange, const std::string& key,
                              const kv::Entry& entry) {
  auto found = find_value(key, entry, request.header(Known::kRange).empty());
  if (!found) {
    metrics_.disk_read_errors.add();
    exchange.send(http::status_page(500));
    return true;
  }
  const uint64_t cost = 2 * http::Prepared::cost(found->file.size);
  const bool fits = found->file.size <= std::min(kMostKeptBytes, cache_.limit_bytes() / 8) &&
                    cache_.make_room(filling_bytes_ + cost);
  if (!fits) {
    stream(request, exchange, std::move(*found));
    return true;
  }
  filling_bytes_ += cost;
  Fill& fill = *fills_.emplace(key_, std::make_unique<Fill>(*this, key_, mount_, std::move(*found)))
                    .first->second;
  fill.wait(request, exchange);
  fill.start();
  return true;
}

void StoreSource::stream(const Request& request, Exchange& exchange, Found found) {
  Plan made = plan(request, found.file);
  if (made.parts.empty()) return exchange.send(std::move(made.response));
  exchange.send(std::move(made.response), made.length,
                std::make_unique<PartStream>(mount_, std::move(found.value), std::move(made.parts),
                                             budget_, metrics_));
}

void StoreSource::answer(const Request& request, Exchange& exchange, const CachedResponse& cached) {
  if (!cached.file || !has_conditions(request)) return exchange.send(cached.whole);
  Plan made = plan(request, *cached.file);
  if (made.is_whole) return exchange.send(cached.whole);
  if (made.parts.empty()) return exchange.send(std::move(made.response));
  exchange.send(
      std::move(made.response), made.length,
      std::make_unique<MemoryParts>(cached.whole, std::as_bytes(std::span(cached.whole->body())),
                                    std::move(made.parts)));
}

// Takes the fill out, and then calls whoever waits: they may ask for it anew.
std::unique_ptr<StoreSource::Fill> StoreSource::take_out(Fill& fill) {
  filling_bytes_ -= 2 * http::Prepared::cost(fill.bytes);
  std::unique_ptr<Fill> taken;
  if (fill.is_old) {
    const auto at = std::find_if(old_fills_.begin(), old_fills_.end(),
                                 [&](const auto& old) { return old.get() == &fill; });
    taken = std::move(*at);
    old_fills_.erase(at);
  } else {
    const auto at = fills_.find(fill.key);
    taken = std::move(at->second);
    fills_.erase(at);
  }
  return taken;
}

void StoreSource::filled(Fill& fill, std::span<const std::byte> bytes) {
  if (fill.to_make != Coding::kIdentity)
    fill.compression = Compression::begin(
        fill.to_make, std::string(reinterpret_cast<const char*>(bytes.data()), bytes.size()));
  if (fill.compression)
    compressing_.push_back(&fill);
  else
    keep(fill, bytes);
}

// One slice for all of them together: however many there are, the next turn comes soon.
bool StoreSource::at_end_of_turn() {
  if (compressing_.empty()) return false;
  Fill& fill = *compressing_.front();
  if (!fill.compression->step()) return true;
  compressing_.pop_front();
  if (const std::string* const smaller = fill.compression->smaller()) {
    fill.file.coding = fill.to_make;
    keep(fill, std::as_bytes(std::span(*smaller)));
  } else {
    keep(fill, fill.compression->original());
  }
  return !compressing_.empty();
}

// Answers with these bytes, now and from here on.
void StoreSource::keep(Fill& fill, std::span<const std::byte> bytes) {
  const std::unique_ptr<Fill> taken = take_out(fill);
  Representation file = fill.file;
  file.size = bytes.size();
  file.etag = content_tag(bytes);
  auto made = http::Prepared::make(whole_response(file), bytes, cache_.live_bytes());
  if (!made) {
    for (const Fill::Waiter& waiter : fill.waiters) waiter.exchange->send(http::status_page(500));
    return;
  }
  CachedResponse kept{fill.key, std::move(made), std::move(file)};
  if (!fill.is_old) (void)cache_.add(kept);
  for (const Fill::Waiter& waiter : fill.waiters)
    answer(waiter.request.get(), *waiter.exchange, kept);
}

void StoreSource::fill_failed(Fill& fill) {
  const std::unique_ptr<Fill> taken = take_out(fill);
  metrics_.disk_read_errors.add();
  for (const Fill::Waiter& waiter : fill.waiters) waiter.exchange->send(http::status_page(500));
}

}  // namespace splitring::kiosk
