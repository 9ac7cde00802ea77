#include "tools/kiosk/http/transport.h"

#include <openssl/err.h>
#include <openssl/ssl.h>
#include <sys/sendfile.h>
#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <climits>

namespace splitring::http {
namespace {

Error tls_error(const std::string& what) {
  std::array<char, 256> text{};
  const unsigned long code = ERR_get_error();
  ERR_error_string_n(code, text.data(), text.size());
  ERR_clear_error();
  return {Errc::kInvalid, what + ": " + (code == 0 ? "unknown reason" : text.data())};
}

IoOutcome socket_outcome(ssize_t result) {
  if (result > 0) return {IoState::kDone, static_cast<size_t>(result)};
  if (result < 0 && (errno == EAGAIN || errno == EINTR)) return {IoState::kWouldBlock};
  return {IoState::kClosed};
}

}  // namespace

void TlsContext::Free::operator()(ssl_ctx_st* context) const noexcept { SSL_CTX_free(context); }
void Transport::Free::operator()(ssl_st* session) const noexcept { SSL_free(session); }

Result<TlsContext> TlsContext::load(const std::string& certificate, const std::string& key) {
  TlsContext made;
  made.context_.reset(SSL_CTX_new(TLS_server_method()));
  ssl_ctx_st* const context = made.get();
  if (context == nullptr) return tl::unexpected<Error>(tls_error("TLS"));
  SSL_CTX_set_min_proto_version(context, TLS1_2_VERSION);
  SSL_CTX_set_options(context, SSL_OP_NO_RENEGOTIATION | SSL_OP_IGNORE_UNEXPECTED_EOF);
  // A write continues from other memory with the same bytes; idle sessions keep no buffers.
  SSL_CTX_set_mode(context, SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER |
                                SSL_MODE_RELEASE_BUFFERS);
  if (SSL_CTX_use_certificate_chain_file(context, certificate.c_str()) != 1)
    return tl::unexpected<Error>(tls_error("certificate " + certificate));
  if (SSL_CTX_use_PrivateKey_file(context, key.c_str(), SSL_FILETYPE_PEM) != 1)
    return tl::unexpected<Error>(tls_error("key " + key));
  if (SSL_CTX_check_private_key(context) != 1)
    return tl::unexpected<Error>(tls_error("key " + key + " is not that of " + certificate));
  return made;
}

Result<Transport> Transport::accept(UniqueFd fd, const TlsContext* tls) {
  Transport made(std::move(fd));
  if (tls == nullptr) return made;
  made.session_.reset(SSL_new(tls->get()));
  if (made.session_ == nullptr || SSL_set_fd(made.session_.get(), made.fd_.get()) != 1)
    return tl::unexpected<Error>(tls_error("TLS session"));
  SSL_set_accept_state(made.session_.get());
  return made;
}

// Both WANT_READ and WANT_WRITE: the loop says so when the socket has changed, either way.
IoOutcome Transport::tls_outcome(int result) {
  if (result > 0) return {IoState::kDone, static_cast<size_t>(result)};
  const int reason = SSL_get_error(session_.get(), result);
  ERR_clear_error();
  if (reason == SSL_ERROR_WANT_READ || reason == SSL_ERROR_WANT_WRITE)
    return {IoState::kWouldBlock};
  return {IoState::kClosed};
}

IoOutcome Transport::read(std::span<char> into) {
  if (session_ == nullptr) return socket_outcome(::recv(fd_.get(), into.data(), into.size(), 0));
  const auto size = static_cast<int>(std::min<size_t>(into.size(), INT_MAX));
  return tls_outcome(SSL_read(session_.get(), into.data(), size));
}

IoOutcome Transport::write(std::span<const char> first, std::span<const char> second) {
  if (session_ != nullptr) return tls_write(first.empty() ? second : first);
  if (second.empty())
    return socket_outcome(::send(fd_.get(), first.data(), first.size(), MSG_NOSIGNAL));
  std::array<iovec, 2> pieces = {iovec{const_cast<char*>(first.data()), first.size()},
                                 iovec{const_cast<char*>(second.data()), second.size()}};
  msghdr message{};
  message.msg_iov = pieces.data();
  message.msg_iovlen = pieces.size();
  return socket_outcome(::sendmsg(fd_.get(), &message, MSG_NOSIGNAL));
}

IoOutcome Transport::write_before_file(std::span<const char> head) {
  return socket_outcome(::send(fd_.get(), head.data(), head.size(), MSG_NOSIGNAL | MSG_MORE));
}

IoOutcome Transport::write_file(int file, uint64_t offset, size_t size) {
  auto at = static_cast<off_t>(offset);
  return socket_outcome(::sendfile(fd_.get(), file, &at, size));
}

IoOutcome Transport::tls_write(std::span<const char> bytes) {
  const auto size = static_cast<int>(std::min<size_t>(bytes.size(), INT_MAX));
  return tls_outcome(SSL_write(session_.get(), bytes.data(), size));
}

void Transport::shut_down_writing() {
  if (session_ != nullptr) {
    (void)SSL_shutdown(session_.get());
    ERR_clear_error();
  }
  ::shutdown(fd_.get(), SHUT_WR);
}

}  // namespace splitring::http
