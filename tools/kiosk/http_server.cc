#include "tools/kiosk/http_server.h"

#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>

#include <algorithm>
#include <boost/asio/basic_socket_acceptor.hpp>
#include <boost/asio/basic_waitable_timer.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/post.hpp>
#include <cerrno>
#include <optional>
#include <thread>
#include <utility>

#include "base/parse.h"
#include "base/unique_fd.h"
#include "tools/kiosk/connection.h"
#include "tools/kiosk/lane_reader.h"

namespace splitring::kiosk {
namespace {

namespace asio = boost::asio;
using asio::ip::tcp;
using boost::system::error_code;

constexpr std::chrono::seconds kStopTime{5};
constexpr std::chrono::milliseconds kAcceptPause{100};  // when descriptors have run out

Result<tcp::endpoint> parse_listen(const std::string& text) {
  const size_t colon = text.rfind(':');
  std::string host = text.substr(0, colon == std::string::npos ? 0 : colon);
  if (host.size() > 2 && host.front() == '[' && host.back() == ']')
    host = host.substr(1, host.size() - 2);
  error_code error;
  const auto address = asio::ip::make_address(host, error);
  const auto port = colon == std::string::npos
                        ? std::nullopt
                        : parse_decimal(std::string_view(text).substr(colon + 1), 65535);
  if (error || !port)
    return fail(Errc::kInvalid,
                "\"" + text + "\" is no address to listen on; write 127.0.0.1:8080 or [::1]:8080");
  return tcp::endpoint(address, static_cast<uint16_t>(*port));
}

Result<UniqueFd> listen_on(const tcp::endpoint& endpoint, const std::string& text) {
  UniqueFd fd(::socket(endpoint.protocol().family(), SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC,
                       IPPROTO_TCP));
  if (!fd) return fail_errno("listening on " + text, errno);
  const int on = 1;
  // A restart may take the port while old connections of it are fading; two kiosks may not.
  ::setsockopt(fd.get(), SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
  if (::bind(fd.get(), endpoint.data(), static_cast<socklen_t>(endpoint.size())) != 0 ||
      ::listen(fd.get(), SOMAXCONN) != 0)
    return fail_errno("listening on " + text, errno);
  return fd;
}

Result<std::string> url_of(int fd) {
  tcp::endpoint endpoint;
  auto size = static_cast<socklen_t>(endpoint.capacity());
  if (::getsockname(fd, endpoint.data(), &size) != 0) return fail_errno("getsockname", errno);
  endpoint.resize(size);
  const std::string host = endpoint.address().to_string();
  return "http://" + (endpoint.address().is_v6() ? "[" + host + "]" : host) + ":" +
         std::to_string(endpoint.port()) + "/";
}

}  // namespace

// One thread's part. Made by the main thread, run and emptied by its own.
class HttpServer::Worker {
 public:
  Worker(std::unique_ptr<BlockQueue> lane, const Site& site, WorkerMetrics& metrics,
         const ServerOptions& options, std::atomic<unsigned>& open_connections)
      : limit_(options.connections),
        open_connections_(open_connections),
        lane_(std::move(lane)),
        loop_(std::make_unique<Loop>(1)),
        reader_(std::make_unique<LaneReader>(*loop_, *lane_, metrics)),
        acceptor_(std::in_place, *loop_),
        timer_(std::in_place, *loop_),
        context_{.site = site,
                 .reader = *reader_,
                 .metrics = metrics,
                 .timeout = options.timeout,
                 .closed = [this] { connection_closed(); },
                 .open = {},
                 .stopping = false} {}

  Result<> open(int listening_fd, int family) {
    TRY_VOID(reader_->open());
    UniqueFd fd(::fcntl(listening_fd, F_DUPFD_CLOEXEC, 0));
    if (!fd) return fail_errno("duplicating the listening socket", errno);
    error_code error;
    acceptor_->assign(family == AF_INET6 ? tcp::v6() : tcp::v4(), fd.get(), error);
    if (error) return fail(Errc::kUnsupported, "watching the listening socket: " + error.message());
    (void)fd.release();
    return {};
  }

  void run() {
    accept();
    loop_->run();
    // Nobody reads the answers any more, but the disk may still be writing to their memory.
    lane_->drain();
    acceptor_.reset();
    timer_.reset();
    reader_.reset();
    context_.closed = nullptr;
    loop_.reset();  // the connections go with their handlers, and give their memory to the lane
    lane_.reset();
  }

  // From any thread.
  void stop() {
    asio::post(*loop_, [this] { stop_here(); });
  }

 private:
  void accept() {
    acceptor_->async_accept(*loop_, [this](const error_code& error, Socket socket) {
      if (context_.stopping) return;
      if (!error) {
        take(std::move(socket));
        return accept();
      }
      timer_->expires_after(kAcceptPause);
      timer_->async_wait([this](const error_code& cancelled) {
        if (!cancelled && !context_.stopping) accept();
      });
    });
  }

  void take(Socket socket) {
    if (open_connections_.fetch_add(1, std::memory_order_relaxed) >= limit_) {
      open_connections_.fetch_sub(1, std::memory_order_relaxed);
      turn_away(socket);
      return;
    }
    error_code ignored;
    socket.set_option(tcp::no_delay(true), ignored);
    start_connection(std::move(socket), context_);
  }

  // As much as fits the socket's buffer, which is empty: it takes all.
  static void turn_away(Socket& socket) {
    const Reply reply = Site::refuse(503);
    const std::string text =
        reply.head + "Connection: close\r\nRetry-After: 1\r\n\r\n" + reply.body;
    (void)::send(socket.native_handle(), text.data(), text.size(), MSG_DONTWAIT | MSG_NOSIGNAL);
  }

  void connection_closed() {
    open_connections_.fetch_sub(1, std::memory_order_relaxed);
    if (context_.stopping && context_.open.empty()) loop_->stop();
  }

  void stop_here() {
    context_.stopping = true;
    error_code ignored;
    acceptor_->close(ignored);
    for (Connection* connection : context_.open) connection->stop(false);
    if (context_.open.empty()) return loop_->stop();
    timer_->expires_after(kStopTime);
    timer_->async_wait([this](const error_code& cancelled) {
      if (!cancelled) loop_->stop();
    });
  }

  const unsigned limit_;
  std::atomic<unsigned>& open_connections_;
  std::unique_ptr<BlockQueue> lane_;
  std::unique_ptr<Loop> loop_;
  std::unique_ptr<LaneReader> reader_;
  std::optional<asio::basic_socket_acceptor<tcp, LoopExecutor>> acceptor_;
  std::optional<asio::basic_waitable_timer<
      std::chrono::steady_clock, asio::wait_traits<std::chrono::steady_clock>, LoopExecutor>>
      timer_;
  ConnectionContext context_;
};

HttpServer::HttpServer() = default;
HttpServer::~HttpServer() = default;

Result<std::unique_ptr<HttpServer>> HttpServer::open(BlockDevice& disk, const Site& site,
                                                     KioskMetrics& metrics,
                                                     const ServerOptions& options) {
  const tcp::endpoint endpoint = TRY(parse_listen(options.listen));
  const UniqueFd listening = TRY(listen_on(endpoint, options.listen));
  std::unique_ptr<HttpServer> server(new HttpServer);
  server->url_ = TRY(url_of(listening.get()));
  while (server->workers_.size() < std::max(1U, options.threads)) {
    auto lane = disk.open_queue({});
    // A disk has as many lanes as its other end allows; one is enough.
    if (!lane && !server->workers_.empty()) break;
    if (!lane) return tl::unexpected<Error>(std::move(lane).error());
    auto worker = std::make_unique<Worker>(std::move(*lane), site, metrics.add_worker(), options,
                                           server->open_connections_);
    TRY_VOID(worker->open(listening.get(), endpoint.protocol().family()));
    server->workers_.push_back(std::move(worker));
  }
  return server;
}

void HttpServer::run(int stop_fd) {
  std::vector<std::jthread> threads;
  threads.reserve(workers_.size());
  for (auto& worker : workers_) threads.emplace_back([&worker] { worker->run(); });
  pollfd stop{stop_fd, POLLIN, 0};
  while (::poll(&stop, 1, -1) < 0 && errno == EINTR) {
  }
  for (auto& worker : workers_) worker->stop();
}

}  // namespace splitring::kiosk
