// Many pages of one level at once, in whatever order they come: pages that lie close together in
// one request, many requests in flight all the time. For one thread, one call after another.
//
// Every page is compared with its pointer's hash and checked before it is shown, as by PageReader.
#pragma once

#include <functional>
#include <span>
#include <vector>

#include "kv/tree/page_io.h"

namespace splitring::kv {

class PageGather {
 public:
  // Shown for as long as the call lasts.
  using Use = std::function<Result<>(size_t index, const std::byte* page)>;

  explicit PageGather(PageReader& reader) : reader_(reader) {}
  ~PageGather() { reader_.lane().drain(); }
  PageGather(const PageGather&) = delete;
  PageGather& operator=(const PageGather&) = delete;

  // Calls `use` once for each of `pointers`; its error ends that. `keep`: what was not in memory
  // goes to the cache as far as there is room. No read is pinned meanwhile, but while `use` runs.
  Result<> run(std::span<const Pointer> pointers, unsigned level, bool keep, const Use& use);

 private:
  static constexpr size_t kInFlight = 32;
  static constexpr size_t kRunPages = 32;
  // A request costs about as much as reading so many pages that nobody wants.
  static constexpr uint64_t kMostGap = 7;

  struct Run : BlockRequest {
    PageGather* owner = nullptr;
    LaneMemory memory;
    iovec buffer{};
    std::span<const size_t> wanted;  // of the pointers, by page
    Run* next_done = nullptr;
  };
  static void done(BlockRequest& request) noexcept;
  Result<std::vector<size_t>> use_cached(unsigned level, const Use& use);
  Result<> start(Run& run, std::span<const size_t> wanted);
  Result<> finish(Run& run, unsigned level, bool keep, const Use& use);
  Result<> show(const std::byte* page, size_t index, unsigned level, bool keep, const Use& use);

  PageReader& reader_;
  std::span<const Pointer> pointers_;
  std::vector<std::unique_ptr<Run>> runs_;
  Run* done_ = nullptr;
};

}  // namespace splitring::kv
