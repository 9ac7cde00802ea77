#include "tools/kiosk/http/request_body.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <utility>

namespace splitring::http {
namespace {

Result<> append_to_file(int file, uint64_t offset, std::string_view bytes) {
  while (!bytes.empty()) {
    const ssize_t count = ::pwrite(file, bytes.data(), bytes.size(), static_cast<off_t>(offset));
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) return fail_errno("keeping a request's body", errno);
    bytes.remove_prefix(static_cast<size_t>(count));
    offset += static_cast<uint64_t>(count);
  }
  return {};
}

}  // namespace

RequestBody::RequestBody(RequestBody&& other) noexcept
    : budget_(std::move(other.budget_)),
      text_(std::move(other.text_)),
      file_(std::move(other.file_)),
      size_(other.size_) {}

RequestBody::~RequestBody() {
  if (budget_ != nullptr) (file_ ? budget_->in_files : budget_->in_memory) -= size_;
}

Result<> RequestBody::append(std::string_view bytes) {
  const bool stays = !file_ && size_ + bytes.size() <= kBodyInMemory &&
                     budget_->in_memory + bytes.size() <= BodyBudget::kMostInMemory;
  if (stays) {
    text_ += bytes;
    budget_->in_memory += bytes.size();
    size_ += bytes.size();
    return {};
  }
  if (budget_->in_files + size_ + bytes.size() > BodyBudget::kMostInFiles)
    return fail(Errc::kLimit, "too many large requests at once");
  if (!file_) TRY_VOID(move_to_file());
  TRY_VOID(append_to_file(file_.get(), size_, bytes));
  budget_->in_files += bytes.size();
  size_ += bytes.size();
  return {};
}

Result<> RequestBody::move_to_file() {
  const char* const directory = std::getenv("TMPDIR");
  const std::string where = directory != nullptr && *directory != '\0' ? directory : "/var/tmp";
  UniqueFd file(::open(where.c_str(), O_TMPFILE | O_RDWR | O_CLOEXEC, 0600));
  if (!file) return fail_errno("a file in " + where + " for a request's body (see TMPDIR)", errno);
  TRY_VOID(append_to_file(file.get(), 0, text_));
  file_ = std::move(file);
  budget_->in_memory -= size_;
  budget_->in_files += size_;
  text_ = {};
  return {};
}

Result<size_t> RequestBody::read(uint64_t offset, std::span<std::byte> out) const {
  if (offset >= size_) return size_t{0};
  const size_t bytes = std::min<uint64_t>(out.size(), size_ - offset);
  if (!file_) {
    std::memcpy(out.data(), text_.data() + offset, bytes);
    return bytes;
  }
  const ssize_t count = ::pread(file_.get(), out.data(), bytes, static_cast<off_t>(offset));
  if (count < 0) return fail_errno("reading a request's body", errno);
  if (count == 0 && bytes != 0) return fail(Errc::kIo, "a request's body became shorter");
  return static_cast<size_t>(count);
}

}  // namespace splitring::http
