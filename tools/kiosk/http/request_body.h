// The body of a request, whole: in memory while it is small, else in a file that has no name.
//
// So a slow client holds neither a thread nor much memory while it sends. BodyBudget bounds what
// the bodies of one thread take together, those included that other threads still work on.
//
// A body may go to another thread; one at a time owns it.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>

#include "base/result.h"
#include "base/unique_fd.h"

namespace splitring::http {

// A body in memory has at most so many bytes.
inline constexpr size_t kBodyInMemory = size_t{256} << 10;

struct BodyBudget {
  static constexpr uint64_t kMostInMemory = uint64_t{64} << 20;
  static constexpr uint64_t kMostInFiles = uint64_t{4} << 30;
  std::atomic<uint64_t> in_memory{0};
  std::atomic<uint64_t> in_files{0};
};

class RequestBody {
 public:
  explicit RequestBody(std::shared_ptr<BodyBudget> budget) : budget_(std::move(budget)) {}
  RequestBody(RequestBody&& other) noexcept;
  RequestBody& operator=(RequestBody&&) = delete;
  ~RequestBody();

  // kLimit: the budget is used up; the file's.
  Result<> append(std::string_view bytes);

  [[nodiscard]] uint64_t size() const { return size_; }
  [[nodiscard]] bool is_in_memory() const { return !file_; }
  // Precondition: is_in_memory().
  [[nodiscard]] const std::string& text() const { return text_; }
  // Fills `out` from `offset`; the number of bytes, 0 at the end.
  Result<size_t> read(uint64_t offset, std::span<std::byte> out) const;

 private:
  Result<> move_to_file();

  std::shared_ptr<BodyBudget> budget_;  // null: moved from
  std::string text_;
  UniqueFd file_;
  uint64_t size_ = 0;
};

}  // namespace splitring::http
