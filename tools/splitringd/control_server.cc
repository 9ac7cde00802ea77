#include "tools/splitringd/control_server.h"

#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/local/stream_protocol.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/beast/core/basic_stream.hpp>
#include <boost/beast/core/flat_buffer.hpp>
#include <boost/beast/http.hpp>
#include <chrono>
#include <optional>
#include <thread>

#include "base/parse.h"
#include "tools/splitringd/report_text.h"

namespace splitring::tools {
namespace {

namespace asio = boost::asio;
namespace beast = boost::beast;
namespace http = beast::http;
using Local = asio::local::stream_protocol;
using Tcp = asio::ip::tcp;
using ErrorCode = beast::error_code;

constexpr std::chrono::seconds kIdleTimeout{30};
constexpr uint32_t kMaxHeaderBytes = 8192;
constexpr uint32_t kMaxClients = 64;
constexpr std::chrono::milliseconds kAcceptPause{100};

using Response = http::response<http::string_body>;

Response answer(const http::request<http::empty_body>& request, bool with_devices,
                const ControlServer::Report& report) {
  Response response(http::status::ok, request.version());
  response.keep_alive(request.keep_alive());
  response.set(http::field::content_type, "text/plain; charset=utf-8");
  if (request.method() != http::verb::get) {
    response.result(http::status::method_not_allowed);
    response.set(http::field::allow, "GET");
    response.body() = "only GET\n";
  } else if (request.target() == "/metrics") {
    response.set(http::field::content_type, "text/plain; version=0.0.4; charset=utf-8");
    response.body() = metrics_text(report());
  } else if (with_devices && request.target() == "/devices") {
    response.set(http::field::content_type, "application/json");
    response.body() = devices_json(report());
  } else {
    response.result(http::status::not_found);
    response.body() = with_devices ? "try /metrics or /devices\n" : "try /metrics\n";
  }
  response.prepare_payload();
  return response;
}

// One client: request after request, until it closes, errs or is silent for too long. Lives as long
// as one of its handlers.
template <class Protocol>
class Client : public std::enable_shared_from_this<Client<Protocol>> {
 public:
  Client(typename Protocol::socket socket, std::shared_ptr<void> place,
         const ControlServer::Report& report)
      : stream_(std::move(socket)), place_(std::move(place)), report_(report) {}

  void read() {
    parser_.emplace();
    parser_->header_limit(kMaxHeaderBytes);
    stream_.expires_after(kIdleTimeout);
    http::async_read(stream_, buffer_, *parser_,
                     [self = this->shared_from_this()](ErrorCode error, size_t) {
                       if (!error) self->write();
                     });
  }

 private:
  void write() {
    response_ = answer(parser_->get(), std::is_same_v<Protocol, Local>, report_);
    http::async_write(stream_, response_,
                      [self = this->shared_from_this()](ErrorCode error, size_t) {
                        if (!error && self->response_.keep_alive()) self->read();
                      });
  }

  beast::basic_stream<Protocol> stream_;
  std::shared_ptr<void> place_;  // among kMaxClients
  const ControlServer::Report& report_;
  beast::flat_buffer buffer_{kMaxHeaderBytes};
  std::optional<http::request_parser<http::empty_body>> parser_;
  Response response_;
};

bool peer_is_allowed(Local::socket& socket) {
  ucred peer{};
  socklen_t size = sizeof(peer);
  if (::getsockopt(socket.native_handle(), SOL_SOCKET, SO_PEERCRED, &peer, &size) != 0)
    return false;
  return peer.uid == 0 || peer.uid == ::geteuid();
}

Result<Tcp::endpoint> parse_address(const std::string& text) {
  const size_t colon = text.rfind(':');
  const auto port =
      colon == std::string::npos ? std::nullopt : parse_decimal(text.substr(colon + 1), 65535);
  std::string host = text.substr(0, port ? colon : 0);
  if (host.size() > 2 && host.front() == '[' && host.back() == ']')
    host = host.substr(1, host.size() - 2);
  ErrorCode error;
  const auto address = asio::ip::make_address(host, error);
  if (!port || error)
    return fail(Errc::kInvalid, "\"" + text + "\" is not ADDRESS:PORT (say 127.0.0.1:9100)");
  return Tcp::endpoint(address, static_cast<uint16_t>(*port));
}

// Whether a connection to the socket file is answered.
bool is_served(asio::io_context& io, const Local::endpoint& endpoint) {
  Local::socket probe(io);
  ErrorCode error;
  probe.connect(endpoint, error);
  return !error;
}

}  // namespace

class ControlServer::Impl {
 public:
  Result<> listen_local(const std::filesystem::path& path);
  Result<> listen_tcp(const std::string& address);
  void serve(Report report);
  void stop();
  ~Impl();

 private:
  template <class Acceptor>
  void accept(Acceptor& acceptor);
  template <class Acceptor>
  void accept_later(Acceptor& acceptor);
  // Nothing: there are clients enough.
  std::shared_ptr<void> take_place();

  uint32_t clients_ = 0;  // the thread's; outlives the clients, which io_ owns
  asio::io_context io_{1};
  Local::acceptor local_{io_};
  Tcp::acceptor tcp_{io_};
  std::filesystem::path socket_;  // ours to remove
  Report report_;
  std::jthread thread_;
};

Result<> ControlServer::Impl::listen_local(const std::filesystem::path& path) {
  if (path.native().size() >= sizeof(sockaddr_un::sun_path))
    return fail(Errc::kInvalid, "control socket " + path.string() + ": the path is too long");
  const Local::endpoint endpoint(path.string());
  if (is_served(io_, endpoint))
    return fail(Errc::kBusy, "control socket " + path.string() +
                                 ": another splitringd answers there (stop it, or say --control)");
  std::error_code ignored;
  std::filesystem::create_directories(path.parent_path(), ignored);
  if (std::filesystem::is_socket(path, ignored)) std::filesystem::remove(path, ignored);
  ErrorCode error;
  local_.open(Local(), error);
  // Nobody can connect before the mode is right: the socket does not listen yet.
  if (!error) local_.bind(endpoint, error);
  if (error) return fail_errno("control socket " + path.string(), error.value());
  socket_ = path;
  if (::chmod(path.c_str(), 0660) != 0) return fail_errno("control socket " + path.string(), errno);
  local_.listen(asio::socket_base::max_listen_connections, error);
  if (error) return fail_errno("control socket " + path.string(), error.value());
  return {};
}

Result<> ControlServer::Impl::listen_tcp(const std::string& text) {
  const Tcp::endpoint endpoint = TRY(parse_address(text));
  ErrorCode error;
  tcp_.open(endpoint.protocol(), error);
  if (!error) tcp_.set_option(asio::socket_base::reuse_address(true), error);
  if (!error) tcp_.bind(endpoint, error);
  if (!error) tcp_.listen(asio::socket_base::max_listen_connections, error);
  if (error) return fail_errno("metrics on " + text, error.value());
  return {};
}

std::shared_ptr<void> ControlServer::Impl::take_place() {
  if (clients_ == kMaxClients) return nullptr;
  clients_++;
  return {this, [](void* impl) { static_cast<Impl*>(impl)->clients_--; }};
}

template <class Acceptor>
void ControlServer::Impl::accept(Acceptor& acceptor) {
  using Protocol = typename Acceptor::protocol_type;
  acceptor.async_accept([this, &acceptor](ErrorCode error, typename Protocol::socket socket) {
    if (error) return accept_later(acceptor);
    bool allowed = true;
    if constexpr (std::is_same_v<Protocol, Local>) allowed = peer_is_allowed(socket);
    auto place = allowed ? take_place() : nullptr;
    if (place)
      std::make_shared<Client<Protocol>>(std::move(socket), std::move(place), report_)->read();
    accept(acceptor);
  });
}

// Without descriptors to spare accept fails at once: trying again at once would be a busy loop.
template <class Acceptor>
void ControlServer::Impl::accept_later(Acceptor& acceptor) {
  auto pause = std::make_shared<asio::steady_timer>(io_, kAcceptPause);
  pause->async_wait([this, &acceptor, pause](ErrorCode error) {
    if (!error) accept(acceptor);
  });
}

void ControlServer::Impl::serve(Report report) {
  report_ = std::move(report);
  if (local_.is_open()) accept(local_);
  if (tcp_.is_open()) accept(tcp_);
  thread_ = std::jthread([this] { io_.run(); });
}

void ControlServer::Impl::stop() {
  io_.stop();
  if (thread_.joinable()) thread_.join();
}

ControlServer::Impl::~Impl() {
  stop();
  std::error_code ignored;
  if (!socket_.empty()) std::filesystem::remove(socket_, ignored);
}

ControlServer::ControlServer(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
ControlServer::~ControlServer() = default;

Result<std::unique_ptr<ControlServer>> ControlServer::listen(const ControlOptions& options) {
  auto impl = std::make_unique<Impl>();
  TRY_VOID(impl->listen_local(options.socket));
  if (!options.metrics_address.empty()) TRY_VOID(impl->listen_tcp(options.metrics_address));
  return std::unique_ptr<ControlServer>(new ControlServer(std::move(impl)));
}

void ControlServer::serve(Report report) { impl_->serve(std::move(report)); }
void ControlServer::stop() { impl_->stop(); }

}  // namespace splitring::tools
