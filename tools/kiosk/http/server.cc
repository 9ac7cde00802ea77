#include "tools/kiosk/http/server.h"

#include <poll.h>
#include <sys/epoll.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <thread>
#include <utility>

#include "tools/kiosk/http/connection.h"
#include "tools/kiosk/http/listen.h"

namespace splitring::http {
namespace {

constexpr std::chrono::seconds kStopTime{5};
constexpr std::chrono::milliseconds kAcceptPause{100};  // when descriptors have run out
constexpr size_t kAcceptedAtOnce = 64;                  // then those who are in have their turn
// How often the time limits are looked at.
constexpr std::chrono::milliseconds kLeastTimeStep{100};
constexpr std::chrono::milliseconds kMostTimeStep{1000};

}  // namespace

// One thread's part. Made by the main thread, run and emptied by its own.
class Server::Worker final : public Loop::Watcher, public Loop::EndOfTurn {
 public:
  Worker(std::unique_ptr<Loop> loop, const ServerOptions& options, Server& server,
         WorkerMetrics& metrics)
      : options_(options),
        server_(server),
        loop_(std::move(loop)),
        clock_(std::in_place, *loop_, [this] { look_at_times(); }),
        accept_again_(std::in_place, *loop_, [this] { accept(); }),
        stop_timer_(std::in_place, *loop_, [this] { loop_->stop(); }),
        context_{.loop = *loop_,
                 .metrics = metrics,
                 .timeout = options.timeout,
                 .log = options.access_log} {}

  Result<> open(const SourceFactory& factory) {
    context_.sources = factory(*loop_, context_.metrics);
    // Exclusive: a client wakes one thread, not all.
    TRY_VOID(loop_->watch(server_.listening_.get(), EPOLLIN | EPOLLEXCLUSIVE, *this, true));
    loop_->add_end_of_turn(*this);
    return {};
  }

  void run() {
    look_at_times();
    loop_->run();
    for (size_t i = context_.open.size(); i-- != 0;)
      if (i < context_.open.size()) context_.open[i]->stop(true);
    for (const auto& source : context_.sources) source->drain();
    context_.open.clear();
    context_.dead.clear();
    context_.sources.clear();
    write_log();
    clock_.reset();
    accept_again_.reset();
    stop_timer_.reset();
  }

  // From any thread.
  void stop() {
    loop_->post([this] { stop_here(); });
  }

  void on_ready(uint32_t /*events*/) override { accept(); }

  bool at_end_of_turn() override {
    if (!context_.dead.empty()) {
      server_.open_connections_.fetch_sub(static_cast<unsigned>(context_.dead.size()),
                                          std::memory_order_relaxed);
      context_.dead.clear();
      if (context_.stopping && context_.open.empty()) loop_->stop();
    }
    write_log();
    return false;
  }

 private:
  void accept() {
    if (context_.stopping) return;
    for (size_t i = 0; i < kAcceptedAtOnce; i++) {
      Accepted accepted = accept_from(server_.listening_.get());
      if (!accepted.fd) {
        const bool is_full = errno == EMFILE || errno == ENFILE || errno == ENOMEM;
        if (is_full) pause_accepting();
        return;
      }
      const unsigned open = server_.open_connections_.fetch_add(1, std::memory_order_relaxed) + 1;
      if (open > options_.connections) {
        server_.open_connections_.fetch_sub(1, std::memory_order_relaxed);
        turn_away(std::move(accepted.fd));
        continue;
      }
      if (auto transport = Transport::accept(std::move(accepted.fd), options_.tls))
        Connection::start(std::move(*transport), std::move(accepted.client), context_);
      else
        server_.open_connections_.fetch_sub(1, std::memory_order_relaxed);
    }
  }

  // The listening socket stays readable meanwhile: look away.
  void pause_accepting() {
    loop_->unwatch(server_.listening_.get(), *this);
    accept_again_.emplace(*loop_, [this] {
      (void)loop_->watch(server_.listening_.get(), EPOLLIN | EPOLLEXCLUSIVE, *this, true);
    });
    accept_again_->set(loop_->now() + kAcceptPause);
  }

  // As much of an answer as the socket takes at once: nobody is waited for. Under TLS nothing can
  // be said before the handshake.
  void turn_away(UniqueFd fd) {
    context_.metrics.count_request(503, {});
    if (options_.tls != nullptr) return;
    const Response page = status_page(503);
    ResponseHead head = make_head(page, page.body.size(), Persistence::kClose);
    head.text.replace(head.date_at, kHttpDateBytes, loop_->http_date());
    if (auto transport = Transport::accept(std::move(fd), nullptr))
      (void)transport->write(head.text, page.body);
  }

  void look_at_times() {
    // Backwards: who dies leaves its place to the last one.
    for (size_t i = context_.open.size(); i-- != 0;)
      if (i < context_.open.size()) context_.open[i]->check_time();
    clock_->set(loop_->now() + std::clamp(std::chrono::milliseconds(options_.timeout) / 10,
                                          kLeastTimeStep, kMostTimeStep));
  }

  void stop_here() {
    context_.stopping = true;
    loop_->unwatch(server_.listening_.get(), *this);
    accept_again_->cancel();
    for (size_t i = context_.open.size(); i-- != 0;)
      if (i < context_.open.size()) context_.open[i]->stop(false);
    if (context_.open.empty() && context_.dead.empty()) return loop_->stop();
    stop_timer_->set(loop_->now() + kStopTime);
  }

  void write_log() {
    if (context_.log_lines.empty()) return;
    context_.log->write(context_.log_lines);
    context_.log_lines.clear();
  }

  const ServerOptions options_;
  Server& server_;
  std::unique_ptr<Loop> loop_;
  std::optional<Loop::Timer> clock_;
  std::optional<Loop::Timer> accept_again_;
  std::optional<Loop::Timer> stop_timer_;
  ThreadContext context_;
};

Server::Server() = default;
Server::~Server() = default;

Result<std::unique_ptr<Server>> Server::open(const ServerOptions& options,
                                             const SourceFactory& factory, Metrics& metrics) {
  raise_descriptor_limit();
  std::unique_ptr<Server> server(new Server);
  server->listening_ = TRY(listen_on(options.listen));
  server->url_ = (options.tls != nullptr ? "https://" : "http://") +
                 TRY(local_address(server->listening_.get())) + "/";
  while (server->workers_.size() < std::max(1U, options.threads)) {
    auto worker =
        std::make_unique<Worker>(TRY(Loop::create()), options, *server, metrics.add_worker());
    TRY_VOID(worker->open(factory));
    server->workers_.push_back(std::move(worker));
  }
  return server;
}

void Server::run(int stop_fd, int event_fd, const std::function<void()>& event) {
  std::vector<std::jthread> threads;
  threads.reserve(workers_.size());
  for (auto& worker : workers_) threads.emplace_back([&worker] { worker->run(); });
  std::array<pollfd, 2> fds{{{stop_fd, POLLIN, 0}, {event_fd, POLLIN, 0}}};
  while (fds[0].revents == 0) {
    if (::poll(fds.data(), fds.size(), -1) > 0 && fds[1].revents != 0) event();
  }
  for (auto& worker : workers_) worker->stop();
}

}  // namespace splitring::http
