#include "kv/tree/page_io.h"

#include <algorithm>
#include <cstdlib>

namespace splitring::kv {

PageReader::PageReader(BlockQueue& lane, PageCache& cache, Epochs& epochs, uint64_t pages)
    : lane_(lane),
      cache_(cache),
      epochs_(epochs),
      pages_(pages),
      supply_(cache),
      fetches_(kMostInFlight) {
  static_assert(alignof(std::max_align_t) < kPageBytes);
  scratch_ = std::make_unique_for_overwrite<std::byte[]>((kMostLevels + 1) * kPageBytes);
}

Result<> PageReader::verify(const std::byte* page, const Pointer& pointer, unsigned level) const {
  if (hash_of({page, kPageBytes}) != pointer.hash)
    return fail(Errc::kIo, "page " + std::to_string(pointer.page) +
                               " is not what was written there in generation " +
                               std::to_string(pointer.birth));
  return PageView::check(page, pointer.page, level, pages_);
}

Result<const std::byte*> PageReader::fetch(const Pointer& pointer, unsigned level) {
  if (const std::byte* const found = cache_.find(pointer.page); found != nullptr) {
    if (std::to_integer<unsigned>(found[1]) != level)  // a parent that lies
      return fail(Errc::kInvalid, "page " + std::to_string(pointer.page) + " is of another level");
    return found;
  }
  const uint32_t frame = supply_.take();
  const auto scratch = reinterpret_cast<uintptr_t>(scratch_.get());
  std::byte* const into =
      frame != PageCache::kNoFrame
          ? cache_.frame_bytes(frame)
          : scratch_.get() + (round_up(scratch, kPageBytes) - scratch) + level * kPageBytes;
  Result<> read = lane_.read(sector_of_page(pointer.page), {into, kPageBytes});
  if (read) read = verify(into, pointer, level);
  if (frame != PageCache::kNoFrame) {
    if (read)
      supply_.publish(pointer.page, frame);
    else
      supply_.give_back(frame);
  }
  if (!read) return tl::make_unexpected(read.error());
  return into;
}

void PageReader::put_into_cache(const Pointer& pointer, const std::byte* page) {
  if (cached(pointer) != nullptr) return;
  const uint32_t frame = supply_.take();
  if (frame == PageCache::kNoFrame) return;
  std::memcpy(cache_.frame_bytes(frame), page, kPageBytes);
  supply_.publish(pointer.page, frame);
}

void PageReader::done(BlockRequest& request) noexcept { static_cast<Fetch&>(request).busy = false; }

void PageReader::start(Fetch& fetch, const Pointer& pointer, std::byte* into) {
  fetch.operation = Operation::kRead;
  fetch.first = sector_of_page(pointer.page);
  fetch.buffer = {into, kPageBytes};
  fetch.buffers = std::span(&fetch.buffer, 1);
  fetch.complete = done;
  fetch.busy = true;
  lane_.submit(fetch);
}

PageReader::Fetch& PageReader::free_fetch() {
  while (true) {
    for (Fetch& fetch : fetches_)
      if (!fetch.busy) return fetch;
    lane_.wait();
  }
}

Result<> PageReader::copy(std::span<const Pointer> pointers, unsigned level, std::byte* out) {
  std::vector<size_t> missing;
  {
    const Pin pinned = pin();
    for (size_t i = 0; i < pointers.size(); i++) {
      if (const std::byte* const found = cache_.peek(pointers[i].page); found != nullptr)
        std::memcpy(out + i * kPageBytes, found, kPageBytes);
      else
        missing.push_back(i);
    }
  }
  IoStatus worst = IoStatus::kOk;
  for (const size_t i : missing) {
    Fetch& fetch = free_fetch();
    if (fetch.status != IoStatus::kOk) worst = fetch.status;
    fetch.status = IoStatus::kOk;
    start(fetch, pointers[i], out + i * kPageBytes);
  }
  lane_.drain();
  for (Fetch& fetch : fetches_) {
    if (fetch.status != IoStatus::kOk) worst = fetch.status;
    fetch.status = IoStatus::kOk;
  }
  if (worst != IoStatus::kOk)
    return fail(errc_from(worst), std::string("reading pages: ") + to_string(worst));
  for (const size_t i : missing) TRY_VOID(verify(out + i * kPageBytes, pointers[i], level));
  // What was in memory has been checked, but as a page of the level that its reader expected.
  for (size_t i = 0; i < pointers.size(); i++)
    if (std::to_integer<unsigned>(out[i * kPageBytes + 1]) != level)
      return fail(Errc::kInvalid,
                  "page " + std::to_string(pointers[i].page) + " is of another level");
  return {};
}

void PageReader::prefetch(std::span<const Wanted> wanted) {
  for (const Wanted& want : wanted.first(std::min(wanted.size(), kMostInFlight))) {
    if (cached(want.pointer) != nullptr) continue;
    const uint32_t frame = supply_.take();
    if (frame == PageCache::kNoFrame) break;
    Fetch& fetch = free_fetch();
    fetch.frame = frame;
    fetch.wanted = want;
    start(fetch, want.pointer, cache_.frame_bytes(frame));
  }
  lane_.drain();
  for (Fetch& fetch : fetches_) {
    if (fetch.frame == PageCache::kNoFrame) continue;
    const Pointer& pointer = fetch.wanted.pointer;
    if (fetch.status == IoStatus::kOk && cached(pointer) == nullptr &&
        verify(cache_.frame_bytes(fetch.frame), pointer, fetch.wanted.level))
      supply_.publish(pointer.page, fetch.frame);
    else
      supply_.give_back(fetch.frame);
    fetch.frame = PageCache::kNoFrame;
    fetch.status = IoStatus::kOk;
  }
}

Result<> PageWriter::check() {
  for (Run& run : runs_)
    if (!run.busy && run.status != IoStatus::kOk)
      return fail(errc_from(run.status), "writing " + std::to_string(run.count) +
                                             " pages from page " + std::to_string(run.page) + ": " +
                                             to_string(run.status));
  return {};
}

void PageWriter::start() noexcept {
  Run& run = *filling_;
  run.operation = Operation::kWrite;
  run.first = sector_of_page(run.page);
  run.buffer = {run.memory.bytes().data(), run.count * kPageBytes};
  run.buffers = std::span(&run.buffer, 1);
  run.complete = done;
  run.busy = true;
  filling_ = nullptr;
  lane_.submit(run);
  lane_.kick();
}

Result<std::byte*> PageWriter::place(uint64_t page) {
  if (filling_ != nullptr &&
      (filling_->page + filling_->count != page || filling_->count == kRunPages))
    start();
  while (filling_ == nullptr) {
    TRY_VOID(check());
    const auto free = std::ranges::find(runs_, false, &Run::busy);
    if (free == runs_.end()) {
      lane_.wait();
      continue;
    }
    if (free->memory.bytes().empty())
      free->memory = TRY(LaneMemory::allocate(lane_, kRunPages * kPageBytes));
    filling_ = &*free;
    filling_->page = page;
    filling_->count = 0;
  }
  return filling_->memory.bytes().data() + kPageBytes * filling_->count++;
}

Result<> PageWriter::finish() {
  if (filling_ != nullptr) start();
  lane_.drain();
  return check();
}

void PageWriter::abandon() noexcept {
  filling_ = nullptr;
  lane_.drain();
}

}  // namespace splitring::kv
