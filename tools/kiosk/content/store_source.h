// The values of a store as a web site: a source of the HTTP engine over the volume of the moment.
//
// What was asked for once is kept as a prepared answer and sent from memory from then on; what is
// too large to be kept is streamed from the memory that the disk filled. What pays to be compressed
// is so in slices, one a turn of the loop: nobody waits for somebody else's. When the volume is
// replaced everything that was kept is forgotten; answers under way end with the old volume, or
// where they are if its disk has gone.
//
//   /dir/file    the value dir/file, in the best coding that the client accepts and the store has
//                (file.br, file.zst, file.gz) or that pays to be made
//   /dir/        the value dir/index.html, else a listing
//   /dir         a redirect to /dir/
//
// Names are keys of the store and never a path of this machine (H1). One thread, the loop's; the
// loop has ended when the source goes.
#pragma once

#include <deque>
#include <map>
#include <memory>
#include <set>
#include <string>

#include "tools/kiosk/content/part_stream.h"
#include "tools/kiosk/content/response_cache.h"
#include "tools/kiosk/content/volume.h"
#include "tools/kiosk/http/loop.h"
#include "tools/kiosk/http/source.h"

namespace splitring::kiosk {

struct StoreSourceOptions {
  uint64_t cache_bytes = uint64_t{32} << 20;  // of prepared answers, for this thread
  bool lists_directories = true;
};

// Longer files are streamed.
inline constexpr uint64_t kMostKeptBytes = uint64_t{1} << 20;

class StoreSource final : public http::Source, private http::Loop::EndOfTurn {
 public:
  // `slot` and `metrics` outlive the source.
  StoreSource(const VolumeSlot& slot, const StoreSourceOptions& options, http::Loop& loop,
              http::WorkerMetrics& metrics);
  ~StoreSource() override;

  bool serve(const http::Request& request, http::Exchange& exchange) override;
  void drain() override;

 private:
  class Fill;
  struct Question;
  // What a path leads to.
  struct Found {
    std::unique_ptr<kv::Value> value;
    Representation file;
    Coding to_make = Coding::kIdentity;  // to be applied to the value
  };

  enum class Mounted : uint8_t { kNothing, kVolume, kRefused };
  Mounted mount_current();
  [[nodiscard]] std::string_view cache_key(const http::Request& request);
  bool serve_uncached(const http::Request& request, http::Exchange& exchange);
  bool serve_directory(const http::Request& request, http::Exchange& exchange,
                       const std::string& key);
  bool serve_value(const http::Request& request, http::Exchange& exchange, const std::string& key,
                   const kv::Entry& entry);
  Result<Found> find_value(const std::string& key, const kv::Entry& entry, bool may_compress);
  void serve_listing(http::Exchange& exchange, const std::string& key);
  void stream(const http::Request& request, http::Exchange& exchange, Found found);
  void answer(const http::Request& request, http::Exchange& exchange, const CachedResponse& cached);
  [[nodiscard]] std::unique_ptr<Fill> take_out(Fill& fill);
  void ask_old_disks();
  void ask_old_disk(const std::shared_ptr<Mount>& mount);
  void cut_streams_of(const Mount& mount);
  void filled(Fill& fill, std::span<const std::byte> bytes);
  bool at_end_of_turn() override;
  void keep(Fill& fill, std::span<const std::byte> bytes);
  void fill_failed(Fill& fill);

  const VolumeSlot& slot_;
  const StoreSourceOptions options_;
  http::Loop& loop_;
  http::WorkerMetrics& metrics_;
  std::shared_ptr<StreamBudget> budget_ = std::make_shared<StreamBudget>();

  uint64_t generation_ = UINT64_MAX;
  uint64_t serial_ = 0;                  // of the volume
  Mounted mounted_ = Mounted::kNothing;  // of the generation
  std::shared_ptr<Mount> mount_;
  std::vector<std::weak_ptr<Mount>> mounts_;  // that somebody may still read from
  ResponseCache cache_;
  std::map<std::string, std::unique_ptr<Fill>, std::less<>> fills_;  // by the cache's key
  std::vector<std::unique_ptr<Fill>> old_fills_;                     // of volumes before
  std::deque<Fill*> compressing_;  // of both: the first one is at work
  std::set<const Mount*> asked_;   // old mounts whose disk owes an answer to a Question
  http::Loop::Timer ask_again_;
  uint64_t filling_bytes_ = 0;
  const uint64_t subscription_;

  std::string key_;
  std::string accept_encoding_;  // the latest, and what it means
  CodingChoice choice_ = accepted_codings("");
};

}  // namespace splitring::kiosk
