// A complete response to GET, made once and written many times: head and body in one piece of
// memory, so that sending it is one system call. A large body lies in an anonymous file instead:
// the kernel sends its pages as they are, where copying them would cost more than the second call.
//
// The Date in its head is renewed in place when the second has changed; whoever is in the middle of
// sending a head keeps a copy of the rest of it. Counted references without atomics: one thread.
#pragma once

#include <cstddef>
#include <cstdint>
#include <ctime>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <utility>

#include "base/unique_fd.h"
#include "tools/kiosk/http/response.h"

namespace splitring::http {

class Prepared {
 public:
  // With `body` behind the head. `live_bytes` counts it while it lives. Null: no memory.
  static class PreparedRef make(const Response& response, std::span<const std::byte> body,
                                std::shared_ptr<uint64_t> live_bytes);
  // What one costs, about.
  [[nodiscard]] static uint64_t cost(uint64_t body_bytes) { return body_bytes + 1024; }
  ~Prepared() { *live_bytes_ -= cost_; }
  Prepared(const Prepared&) = delete;
  Prepared& operator=(const Prepared&) = delete;

  [[nodiscard]] unsigned status() const { return status_; }
  // Status line to empty line, then the body if it lies here.
  [[nodiscard]] std::string_view bytes() const { return {memory_.get(), bytes_}; }
  [[nodiscard]] std::string_view head() const { return bytes().substr(0, head_bytes_); }
  [[nodiscard]] std::string_view body() const {
    return file_ ? std::string_view(mapped_.get(), mapped_.get_deleter().bytes)
                 : bytes().substr(head_bytes_);
  }
  // Holds the body and nothing else; never changes. -1: none, the body is in bytes().
  [[nodiscard]] int body_file() const { return file_.get(); }
  void set_date(std::time_t now, std::string_view http_date);

 private:
  friend class PreparedRef;
  explicit Prepared(std::shared_ptr<uint64_t> live_bytes) : live_bytes_(std::move(live_bytes)) {}

  struct Unmap {
    size_t bytes;
    void operator()(char* memory) const noexcept;
  };
  bool put_in_file(std::span<const std::byte> body);

  std::shared_ptr<uint64_t> live_bytes_;
  UniqueFd file_;
  std::unique_ptr<char[], Unmap> mapped_;
  uint64_t cost_ = 0;
  std::unique_ptr<char[]> memory_;
  size_t bytes_ = 0;
  size_t head_bytes_ = 0;
  size_t date_at_ = 0;
  std::time_t date_ = 0;
  unsigned status_ = 0;
  uint32_t references_ = 0;
};

class PreparedRef {
 public:
  PreparedRef() = default;
  explicit PreparedRef(Prepared* prepared) : prepared_(prepared) { add(); }
  PreparedRef(const PreparedRef& other) : prepared_(other.prepared_) { add(); }
  PreparedRef(PreparedRef&& other) noexcept : prepared_(std::exchange(other.prepared_, nullptr)) {}
  PreparedRef& operator=(PreparedRef other) noexcept {
    std::swap(prepared_, other.prepared_);
    return *this;
  }
  ~PreparedRef() {
    if (prepared_ != nullptr && --prepared_->references_ == 0) delete prepared_;
  }
  explicit operator bool() const { return prepared_ != nullptr; }
  Prepared& operator*() const { return *prepared_; }
  Prepared* operator->() const { return prepared_; }

 private:
  void add() {
    if (prepared_ != nullptr) prepared_->references_++;
  }
  Prepared* prepared_ = nullptr;
};

}  // namespace splitring::http
