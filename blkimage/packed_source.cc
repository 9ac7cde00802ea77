#include "blkimage/packed_source.h"

#include <algorithm>
#include <cstring>
#include <string>

#include "blkimage/file_bytes.h"

namespace splitring {

Result<> FileSource::read(uint64_t offset, std::span<std::byte> out) {
  return read_file_bytes(fd_, offset, out);
}

LaneSource::~LaneSource() {
  for (const Window& window : windows_)
    while (window.flying) lane_.wait();
}

Result<> LaneSource::read(uint64_t offset, std::span<std::byte> out) {
  while (true) {
    auto taken = take(offset, out);
    if (taken || taken.error().code != Errc::kBusy || waiting_ == Waiting::kNever) return taken;
    lane_.wait();
  }
}

Result<> LaneSource::take(uint64_t offset, std::span<std::byte> out) {
  if (out.empty()) return {};
  const uint64_t first = offset / kWindowBytes;
  const uint64_t last = (offset + out.size() - 1) / kWindowBytes;
  bool is_there = true;
  for (uint64_t number = first; number <= last; number++) {
    Window* const window = find(number);
    if (window != nullptr) window->used = ++clock_;
    if (window == nullptr) (void)request(number);
    is_there = is_there && window != nullptr && !window->flying;
  }
  const bool is_sequential = last_ == first || last_ + 1 == first;
  if (is_sequential && (last + 1) * kWindowBytes < bytes() && find(last + 1) == nullptr)
    (void)request(last + 1);
  lane_.kick();
  if (!is_there) return fail(Errc::kBusy, "not there yet");
  for (uint64_t number = first; number <= last; number++) {
    Window& window = *find(number);
    if (window.status != IoStatus::kOk) {
      window.number = kNone;  // the next one to ask asks the disk again
      return fail(errc_from(window.status),
                  "read of " + std::to_string(window.byte_count) + " bytes at sector " +
                      std::to_string(window.first.count) + ": " + to_string(window.status));
    }
    const uint64_t begin = std::max(offset, number * kWindowBytes);
    const uint64_t end = std::min(offset + out.size(), (number + 1) * kWindowBytes);
    std::memcpy(out.data() + (begin - offset),
                window.memory.data() + (begin - number * kWindowBytes), end - begin);
  }
  last_ = last;
  return {};
}

LaneSource::Window* LaneSource::find(uint64_t number) {
  const auto found = std::ranges::find(windows_, number, &Window::number);
  return found == windows_.end() ? nullptr : &*found;
}

// False: every window is on its way to somebody.
bool LaneSource::request(uint64_t number) {
  Window* oldest = nullptr;
  for (Window& window : windows_)
    if (!window.flying && (oldest == nullptr || window.used < oldest->used)) oldest = &window;
  if (oldest == nullptr) return false;
  Window& window = *oldest;
  window.memory.resize(kWindowBytes);
  window.number = number;
  window.used = ++clock_;
  window.first = Sectors::from_bytes(number * kWindowBytes);
  window.buffer = {window.memory.data(),
                   std::min<uint64_t>(kWindowBytes, bytes() - number * kWindowBytes)};
  window.buffers = std::span(&window.buffer, 1);
  window.complete = [](BlockRequest& r) noexcept { static_cast<Window&>(r).flying = false; };
  window.flying = true;
  lane_.submit(window);
  return true;
}

}  // namespace splitring
