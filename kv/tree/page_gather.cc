#include "kv/tree/page_gather.h"

#include <algorithm>
#include <bit>

namespace splitring::kv {

void PageGather::done(BlockRequest& request) noexcept {
  Run& run = static_cast<Run&>(request);
  run.next_done = std::exchange(run.owner->done_, &run);
}

// Shows what is in memory; returns the rest, by page.
Result<std::vector<size_t>> PageGather::use_cached(unsigned level, const Use& use) {
  std::vector<size_t> missing;
  const Pin pinned = reader_.pin();
  for (size_t i = 0; i < pointers_.size(); i++) {
    if (reader_.cached(pointers_[i]) == nullptr)
      missing.push_back(i);
    else
      TRY_VOID(use(i, TRY(reader_.fetch(pointers_[i], level))));
  }
  std::ranges::sort(missing, {}, [&](size_t index) { return pointers_[index].page; });
  return missing;
}

Result<> PageGather::start(Run& run, std::span<const size_t> wanted) {
  const uint64_t first = pointers_[wanted.front()].page;
  const uint64_t pages = pointers_[wanted.back()].page - first + 1;
  // Of a large store most runs are one page: as much as they need, and no more often than it grows.
  if (run.memory.bytes().size() < pages * kPageBytes) {
    run.memory = LaneMemory();
    run.memory = TRY(LaneMemory::allocate(reader_.lane(), std::bit_ceil(pages) * kPageBytes));
  }
  run.owner = this;
  run.wanted = wanted;
  run.operation = Operation::kRead;
  run.first = sector_of_page(first);
  run.buffer = {run.memory.bytes().data(), pages * kPageBytes};
  run.buffers = std::span(&run.buffer, 1);
  run.complete = done;
  reader_.lane().submit(run);
  return {};
}

Result<> PageGather::show(const std::byte* page, size_t index, unsigned level, bool keep,
                          const Use& use) {
  const Pointer& pointer = pointers_[index];
  TRY_VOID(reader_.verify(page, pointer, level));
  if (keep) reader_.put_into_cache(pointer, page);
  return use(index, page);
}

Result<> PageGather::finish(Run& run, unsigned level, bool keep, const Use& use) {
  const std::byte* const memory = run.memory.bytes().data();
  const uint64_t first = pointers_[run.wanted.front()].page;
  for (const size_t index : run.wanted) {
    const uint64_t offset = pointers_[index].page - first;
    // What failed may be a page between that nobody wants.
    if (run.status != IoStatus::kOk)
      TRY_VOID(reader_.lane().read(sector_of_page(pointers_[index].page),
                                   run.memory.bytes().subspan(offset * kPageBytes, kPageBytes)));
    TRY_VOID(show(memory + offset * kPageBytes, index, level, keep, use));
  }
  return {};
}

Result<> PageGather::run(std::span<const Pointer> pointers, unsigned level, bool keep,
                         const Use& use) {
  pointers_ = pointers;
  const std::vector<size_t> missing = TRY(use_cached(level, use));
  const auto page = [&](size_t at) { return pointers[missing[at]].page; };
  size_t next = 0;
  const auto start_next = [&](Run& run) -> Result<> {
    size_t end = next + 1;
    while (end < missing.size() && page(end) - page(end - 1) <= kMostGap + 1 &&
           page(end) - page(next) < kRunPages)
      end++;
    const size_t begin = std::exchange(next, end);
    return start(run, std::span(missing).subspan(begin, end - begin));
  };
  Result<> result;
  for (size_t i = 0; i < kInFlight && next < missing.size() && result; i++) {
    if (i == runs_.size()) runs_.push_back(std::make_unique<Run>());
    result = start_next(*runs_[i]);
  }
  reader_.lane().kick();
  while (result && reader_.lane().in_flight() + (done_ == nullptr ? 0 : 1) != 0) {
    if (done_ == nullptr) reader_.lane().wait();
    while (done_ != nullptr && result) {
      Run& run = *std::exchange(done_, done_->next_done);
      result = finish(run, level, keep, use);
      if (result && next < missing.size()) result = start_next(run);
    }
    reader_.lane().kick();
  }
  reader_.lane().drain();  // of an error: the others are of no use
  done_ = nullptr;
  return result;
}

}  // namespace splitring::kv
