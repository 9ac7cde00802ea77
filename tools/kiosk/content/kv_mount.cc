#include "tools/kiosk/content/kv_mount.h"

#include <spdlog/spdlog.h>

namespace splitring::kiosk {

Result<std::unique_ptr<KvMount>> KvMount::open(std::unique_ptr<BlockDevice> disk,
                                               const KvMountOptions& options) {
  if (options.route.size() < 2 || !options.route.starts_with('/') || !options.route.ends_with('/'))
    return fail(Errc::kInvalid, options.route + ": a store is served below a path such as /data/");
  std::unique_ptr<KvMount> made(new KvMount(std::move(disk), options));
  made->store_ = TRY(kv::TreeStore::open(
      *made->disk_, {.cache_bytes = options.cache_bytes, .read_only = options.read_only}));
  for (unsigned i = 0; i < options.readers; i++)
    made->readers_.push_back(TRY(made->store_->session()));
  if (options.read_only) return made;
  made->writers_.push_back(TRY(made->store_->session()));
  while (made->writers_.size() < kWriters) {
    auto another = made->store_->session();
    if (!another) break;  // the disk has no more lanes
    made->writers_.push_back(std::move(*another));
  }
  for (const auto& session : made->writers_)
    made->threads_.emplace_back([mount = made.get(), to = session.get()] { mount->run(*to); });
  return made;
}

KvMount::~KvMount() {
  {
    const std::lock_guard lock(mutex_);
    stopping_ = true;
    changed_.notify_all();
  }
  for (std::thread& thread : threads_) thread.join();
  readers_.clear();
  writers_.clear();
  if (store_ == nullptr || options_.read_only) return;
  if (const auto closed = store_->close(); !closed)
    spdlog::warn("{}: {}", options_.route, closed.error().what);
}

std::unique_ptr<kv::Session> KvMount::take_reader() {
  auto reader = std::move(readers_.back());
  readers_.pop_back();
  return reader;
}

KvMount::StreamTicket KvMount::begin_stream() {
  const auto end = [](std::atomic<unsigned>* streams) {
    streams->fetch_sub(1, std::memory_order_relaxed);
  };
  if (streams_.fetch_add(1, std::memory_order_relaxed) < kMostStreams) return {&streams_, end};
  end(&streams_);
  return {nullptr, end};
}

bool KvMount::post(Job job) {
  const std::lock_guard lock(mutex_);
  if (jobs_.size() >= kMostWaiting) return false;
  jobs_.push_back(std::move(job));
  changed_.notify_one();
  return true;
}

void KvMount::run(kv::Session& session) {
  std::unique_lock lock(mutex_);
  while (true) {
    changed_.wait(lock, [this] { return stopping_ || !jobs_.empty(); });
    if (jobs_.empty()) return;
    const Job job = std::move(jobs_.front());
    jobs_.pop_front();
    lock.unlock();
    job(session);
    lock.lock();
  }
}

}  // namespace splitring::kiosk
