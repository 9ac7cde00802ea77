// A client's socket, plain or under TLS: non-blocking reads and writes that say what happened.
#pragma once

#include <sys/uio.h>

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>

#include "base/result.h"
#include "base/unique_fd.h"

struct ssl_ctx_st;
struct ssl_st;

namespace splitring::http {

enum class IoState : uint8_t { kDone, kWouldBlock, kClosed };
struct IoOutcome {
  IoState state;
  size_t bytes = 0;
};

// A certificate and what we speak with it: TLS 1.2 and 1.3. Thread-safe once made.
class TlsContext {
 public:
  // PEM files; the certificate's may hold a chain. Errors: kInvalid, with OpenSSL's reason.
  static Result<TlsContext> load(const std::string& certificate, const std::string& key);
  [[nodiscard]] ssl_ctx_st* get() const { return context_.get(); }

 private:
  struct Free {
    void operator()(ssl_ctx_st* context) const noexcept;
  };
  std::unique_ptr<ssl_ctx_st, Free> context_;
};

// One owner thread.
class Transport {
 public:
  // `tls`: null for plain HTTP.
  static Result<Transport> accept(UniqueFd fd, const TlsContext* tls);

  [[nodiscard]] int fd() const { return fd_.get(); }
  [[nodiscard]] bool is_tls() const { return session_ != nullptr; }
  IoOutcome read(std::span<char> into);
  // As much as fits. Of two pieces so that a head and a body go out together.
  IoOutcome write(std::span<const char> first, std::span<const char> second);
  // A head that a file follows, and bytes [offset, offset + size) of one. Not under TLS.
  IoOutcome write_before_file(std::span<const char> head);
  IoOutcome write_file(int file, uint64_t offset, size_t size);
  // Says that nothing more comes; reading goes on.
  void shut_down_writing();

 private:
  struct Free {
    void operator()(ssl_st* session) const noexcept;
  };
  explicit Transport(UniqueFd fd) : fd_(std::move(fd)) {}
  IoOutcome tls_outcome(int result);
  IoOutcome tls_write(std::span<const char> bytes);

  UniqueFd fd_;
  std::unique_ptr<ssl_st, Free> session_;
};

}  // namespace splitring::http
