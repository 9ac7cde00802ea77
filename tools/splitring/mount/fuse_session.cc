#include "tools/splitring/mount/fuse_session.h"

#include <fcntl.h>
#include <poll.h>
#include <spawn.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <csignal>
#include <cstdarg>
#include <cstdio>

#include "base/unique_fd.h"
#include "tools/splitring/mount/fuse_worker.h"

namespace splitring::tools {
namespace {

// More than CPUs: a thread that waits for the disk answers nobody else.
constexpr size_t kMostThreads = 8;

// Breaks a thread's sleep in read(2): does nothing else.
constexpr int kInterrupt = SIGUSR1;

void install_interrupt() {
  struct sigaction action {};
  action.sa_handler = [](int) {};  // without SA_RESTART
  ::sigaction(kInterrupt, &action, nullptr);
}

// What libfuse would print, for our own message. One thread mounts.
std::string& libfuse_said() {
  static std::string said;
  return said;
}

void take_libfuse_log(enum fuse_log_level level, const char* format, va_list arguments) {
  std::array<char, 512> line{};
  std::vsnprintf(line.data(), line.size(), format, arguments);
  if (level > FUSE_LOG_WARNING) return;
  std::string text = line.data();
  while (!text.empty() && text.back() == '\n') text.pop_back();
  libfuse_said() = std::move(text);
}

std::string escaped(const std::string& value) {
  std::string safe;
  for (const char c : value) {
    if (c == ',' || c == '\\') safe += '\\';
    safe += c;
  }
  return safe;
}

std::string option_list(const FuseSession::Options& options) {
  std::string list = "fsname=" + escaped(options.source) + ",subtype=splitring,nosuid,nodev";
  for (const std::string& option : options.o) list += "," + option;
  return list;
}

// Files that are read in sequence are read ahead by the kernel, 128 KiB unless root says more here:
// 256 MiB come in 0.11 s instead of 0.18 (measured). Asked for before the kernel and we agree upon
// it, and without a question to ourselves.
void allow_read_ahead(const std::string& directory) {
  struct statx status {};
  if (::statx(AT_FDCWD, directory.c_str(), AT_STATX_DONT_SYNC | AT_SYMLINK_NOFOLLOW, 0, &status) !=
      0)
    return;
  const std::string path = "/sys/class/bdi/" + std::to_string(status.stx_dev_major) + ":" +
                           std::to_string(status.stx_dev_minor) + "/read_ahead_kb";
  const UniqueFd file(::open(path.c_str(), O_WRONLY | O_CLOEXEC));
  const std::string kibibytes = std::to_string(kFuseReadAheadBytes / 1024);
  // Nobody but root may: then it stays as it is.
  if (file) static_cast<void>(::write(file.get(), kibibytes.data(), kibibytes.size()) == 0);
}

// Whoever is not root needs the helper that is.
void detach(const std::string& directory) {
  if (::umount2(directory.c_str(), MNT_DETACH | UMOUNT_NOFOLLOW) == 0 || errno != EPERM) return;
  std::string program = "fusermount3";
  std::string flags = "-uzq";
  std::string path = directory;
  std::array<char*, 4> words{program.data(), flags.data(), path.data(), nullptr};
  pid_t child = 0;
  if (posix_spawnp(&child, program.c_str(), nullptr, nullptr, words.data(), environ) != 0) return;
  while (::waitpid(child, nullptr, 0) < 0 && errno == EINTR) continue;
}

}  // namespace

Result<std::unique_ptr<FuseSession>> FuseSession::open(FuseMount& mount, const Options& options) {
  install_interrupt();
  fuse_set_log_func(take_libfuse_log);
  std::string program = "splitring";
  std::string flag = "-o";
  std::string list = option_list(options);
  std::array<char*, 4> words{program.data(), flag.data(), list.data(), nullptr};
  fuse_args arguments = FUSE_ARGS_INIT(3, words.data());
  std::unique_ptr<FuseSession> made(new FuseSession(options.directory));
  made->session_.reset(
      fuse_session_new(&arguments, &fuse_operations(), sizeof(fuse_lowlevel_ops), &mount));
  fuse_opt_free_args(&arguments);
  if (!made->session_ || fuse_session_mount(made->session_.get(), options.directory.c_str()) != 0)
    return fail(Errc::kPermission, options.directory + ": cannot be mounted on" +
                                       (libfuse_said().empty() ? "" : ": " + libfuse_said()));
  allow_read_ahead(options.directory);
  return made;
}

FuseSession::~FuseSession() {
  // Not twice: what lay below our mount point would be next.
  if (session_ && !detached_) fuse_session_unmount(session_.get());
}

bool FuseSession::is_asked() const {
  pollfd poller{fuse_session_fd(session_.get()), POLLIN, 0};
  return ::poll(&poller, 1, 0) != 0;
}

// At least one part, so that it comes to an end where somebody always asks. False: nothing is left.
bool FuseSession::work_in_between(const Chores& chores) {
  do {
    if (!chores.work()) return false;
  } while (!is_asked() && !stopping_ && !settle_due_);
  return true;
}

void FuseSession::answer(BlockQueue& lane, const Chores* chores) {
  {
    const std::lock_guard lock(mutex_);
    threads_.insert(pthread_self());
  }
  FuseWorker worker(lane);
  fuse_buf buffer{};
  bool has_work = chores != nullptr;
  while (true) {
    has_work = has_work && work_in_between(*chores);
    // The one that settles has to be within reach of a signal.
    if (!crew_.begin_watch(chores == nullptr) || stopping_) break;
    if (chores != nullptr && settle_due_.exchange(false)) chores->settle();
    const int bytes = fuse_session_receive_buf(session_.get(), &buffer);
    crew_.end_watch();
    if (bytes == -EINTR || bytes == -EAGAIN) continue;
    if (bytes <= 0) break;  // unmounted
    fuse_session_process_buf(session_.get(), &buffer);
  }
  crew_.dismiss();
  std::free(buffer.mem);
  const std::lock_guard lock(mutex_);
  threads_.erase(pthread_self());
}

Result<> FuseSession::serve(BlockDevice& disk, BlockQueue& lane, const Chores& chores) {
  {
    const std::lock_guard lock(mutex_);
    settler_ = pthread_self();
  }
  std::vector<std::thread> helpers;
  for (size_t i = 1; i < kMostThreads; i++) {
    helpers.emplace_back([this, &disk] {
      const auto own = disk.open_queue({});
      if (own) answer(**own, nullptr);  // else the disk has no more lanes than there are
    });
  }
  answer(lane, &chores);
  for (std::thread& helper : helpers) helper.join();
  const std::lock_guard lock(mutex_);
  served_ = true;
  changed_.notify_all();
  return {};
}

void FuseSession::wake() {
  settle_due_ = true;
  const std::lock_guard lock(mutex_);
  if (threads_.contains(settler_)) pthread_kill(settler_, kInterrupt);
}

void FuseSession::interrupt_all() {
  for (const pthread_t thread : threads_) pthread_kill(thread, kInterrupt);
}

void FuseSession::end(std::chrono::milliseconds patience) {
  // While requests are still answered: the kernel brings us what it has kept of files.
  detached_ = true;
  detach(directory_);
  std::unique_lock lock(mutex_);
  if (changed_.wait_for(lock, patience, [this] { return served_; })) return;
  stopping_ = true;
  constexpr std::chrono::milliseconds kAgain{20};  // one may come just before a thread sleeps
  do interrupt_all();
  while (!changed_.wait_for(lock, kAgain, [this] { return served_; }));
}

}  // namespace splitring::tools
