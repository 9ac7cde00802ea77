#include "xenbus/emulated_machine.h"

#include <fcntl.h>
#include <sys/epoll.h>
#include <sys/file.h>
#include <sys/stat.h>

#include <cerrno>
#include <utility>

#include "base/parse.h"
#include "xenbus/emulated_paths.h"

namespace splitring {
namespace {

constexpr mode_t kOnlyUs = 0700;

// A directory of this user's that nobody else may enter; made if it is not there.
Result<> claim_directory(const std::filesystem::path& directory) {
  const std::string name = directory.string();
  std::error_code ignored;
  std::filesystem::create_directories(directory.parent_path(), ignored);
  if (::mkdir(name.c_str(), kOnlyUs) != 0 && errno != EEXIST)
    return fail_errno("making " + name, errno);
  // The last part must not be a link that somebody else has laid.
  const UniqueFd fd(::open(name.c_str(), O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
  struct stat status {};
  if (!fd || ::fstat(fd.get(), &status) != 0) return fail_errno("opening " + name, errno);
  if (status.st_uid != ::geteuid())
    return fail(Errc::kPermission, name + " belongs to another user; choose another directory");
  if (::fchmod(fd.get(), kOnlyUs) != 0) return fail_errno("closing " + name + " to others", errno);
  return {};
}

Result<UniqueFd> lock_directory(const std::filesystem::path& directory) {
  const std::string name = (directory / kEmulatedLock).string();
  UniqueFd fd(::open(name.c_str(), O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0600));
  if (!fd) return fail_errno("opening " + name, errno);
  if (::flock(fd.get(), LOCK_EX | LOCK_NB) == 0) return fd;
  if (errno != EWOULDBLOCK) return fail_errno("locking " + name, errno);
  return fail(Errc::kBusy, "an emulated host already runs in " + directory.string() +
                               "; stop it, or choose another directory");
}

// Nothing that we did not put there.
void remove_domain_directory(const std::filesystem::path& domain_directory) {
  ::unlink((domain_directory / kEmulatedStoreSocket).c_str());
  ::unlink((domain_directory / kEmulatedHypervisorSocket).c_str());
  ::rmdir(domain_directory.c_str());
}

void remove_leftovers(const std::filesystem::path& directory) {
  std::error_code ignored;
  for (const auto& entry : std::filesystem::directory_iterator(directory, ignored))
    if (parse_decimal(entry.path().filename().string(), kFirstReservedDomId - 1))
      remove_domain_directory(entry.path());
}

}  // namespace

Result<std::unique_ptr<EmulatedMachine>> EmulatedMachine::create(
    const std::filesystem::path& directory, const EmulatedMachineLimits& limits) {
  std::error_code error;
  const auto absolute = std::filesystem::absolute(directory, error);
  if (error) return fail_errno(directory.string(), error.value());
  TRY_VOID(claim_directory(absolute));
  UniqueFd lock = TRY(lock_directory(absolute));
  remove_leftovers(absolute);
  std::unique_ptr<EmulatedMachine> machine(new EmulatedMachine(absolute, std::move(lock)));
  TRY_VOID(machine->start(limits));
  return machine;
}

Result<> EmulatedMachine::start(const EmulatedMachineLimits& limits) {
  store_ = TRY(EmulatedStoreServer::create(limits.store));
  hypervisor_ = TRY(EmulatedHypervisorServer::create(limits.hypervisor));
  hypervisor_->set_domain_control({[this](DomId domain) { return create_domain(domain); },
                                   [this](DomId domain) { return destroy_domain(domain); }});
  epoll_.reset(::epoll_create1(EPOLL_CLOEXEC));
  if (!epoll_) return fail_errno("creating the emulated host", errno);
  for (const int server : {store_->fd(), hypervisor_->fd()}) {
    epoll_event event{};
    event.events = EPOLLIN;
    event.data.fd = server;
    if (::epoll_ctl(epoll_.get(), EPOLL_CTL_ADD, server, &event) != 0)
      return fail_errno("creating the emulated host", errno);
  }
  TRY_VOID(hypervisor_->introduce(DomId{0}));
  return open_doors(DomId{0});
}

EmulatedMachine::~EmulatedMachine() {
  store_.reset();
  hypervisor_.reset();
  remove_leftovers(directory_);
}

Result<> EmulatedMachine::open_doors(DomId domain) {
  const auto directory = emulated_domain_directory(directory_, domain);
  if (::mkdir(directory.c_str(), kOnlyUs) != 0 && errno != EEXIST)
    return fail_errno("making " + directory.string(), errno);
  TRY_VOID(hypervisor_->listen(domain, emulated_hypervisor_socket(directory_, domain)));
  return store_->listen(domain, emulated_store_socket(directory_, domain));
}

Result<> EmulatedMachine::create_domain(DomId domain) {
  TRY_VOID(hypervisor_->introduce(domain));
  auto introduced = store_->introduce(domain);
  if (!introduced) {
    (void)hypervisor_->release(domain);
    return introduced;
  }
  auto opened = open_doors(domain);
  if (!opened) (void)destroy_domain(domain);
  return opened;
}

Result<> EmulatedMachine::destroy_domain(DomId domain) {
  if (domain == DomId{0}) return fail(Errc::kInvalid, "domain 0 lives as long as its host");
  TRY_VOID(hypervisor_->release(domain));
  auto released = store_->release(domain);
  remove_domain_directory(emulated_domain_directory(directory_, domain));
  return released;
}

void EmulatedMachine::process() {
  hypervisor_->process();
  store_->process();
}

}  // namespace splitring
