// The emulated host as a whole: directory, domains, and a Host on top of it.
#include <gtest/gtest.h>
#include <poll.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdlib>
#include <fstream>

#include "tests/support/xenbus/emulated_machine_thread.h"
#include "xenbus/emulated_host.h"
#include "xenbus/emulated_paths.h"
#include "xenbus/xen_host.h"

namespace splitring {
namespace {

using testing::EmulatedMachineThread;

constexpr DomId kBackend{0};
constexpr DomId kFrontend{1};

bool is_readable(int fd) {
  pollfd entry{fd, POLLIN, 0};
  return ::poll(&entry, 1, 0) == 1;
}

mode_t mode_of(const std::filesystem::path& path) {
  struct stat status {};
  EXPECT_EQ(::lstat(path.c_str(), &status), 0) << path;
  return status.st_mode & 0777;
}

TEST(EmulatedMachine, CarriesMemoryDoorbellsAndNodesBetweenDomains) {
  EmulatedMachineThread machine(1);
  const auto front = machine.host(1);
  const auto back = machine.host(0);
  EXPECT_EQ(front->domain(), kFrontend);

  const auto share = front->open_grant_share().value();
  const auto pages = share->share(kBackend, 1, Access::kReadWrite).value();
  const auto bell = front->offer_channel(kBackend).value();
  const auto front_store = front->open_store().value();
  const auto& ref = std::to_string(raw(pages->refs()[0]));
  ASSERT_TRUE(front_store->now().write("data/ring-ref", ref));

  const auto back_store = back->open_store().value();
  EXPECT_EQ(back_store->now().read("/local/domain/1/data/ring-ref").value(), ref);
  const auto table = back->open_grant_table().value();
  const Mapping mapping = table->map(kFrontend, pages->refs(), Access::kReadWrite).value();
  const auto answer = back->bind_channel(kFrontend, bell->port()).value();
  mapping.bytes()[0] = std::byte{42};
  ASSERT_TRUE(answer->notify());
  EXPECT_TRUE(is_readable(bell->fd()));
  EXPECT_EQ(pages->bytes()[0], std::byte{42});
}

TEST(EmulatedMachine, O1_OnlyItsUserMayEnter) {
  EmulatedMachineThread machine(1);
  EXPECT_EQ(mode_of(machine.directory()), 0700u);
  for (const DomId domain : {kBackend, kFrontend}) {
    EXPECT_EQ(mode_of(emulated_domain_directory(machine.directory(), domain)), 0700u);
    EXPECT_EQ(mode_of(emulated_hypervisor_socket(machine.directory(), domain)), 0600u);
    EXPECT_EQ(mode_of(emulated_store_socket(machine.directory(), domain)), 0600u);
  }
}

TEST(EmulatedMachine, RefusesADirectoryWhereAHostRuns) {
  EmulatedMachineThread machine(0);
  const auto second = EmulatedMachine::create(machine.directory());
  ASSERT_FALSE(second);
  EXPECT_EQ(second.error().code, Errc::kBusy);
  EXPECT_NE(second.error().what.find(machine.directory().string()), std::string::npos);
  EXPECT_TRUE(EmulatedHost::open(machine.directory(), kBackend)) << "the first was disturbed";
}

TEST(EmulatedMachine, TakesOverWhatADeadHostLeft) {
  std::string scratch = (std::filesystem::temp_directory_path() / "splitring-XXXXXX").string();
  ASSERT_NE(::mkdtemp(scratch.data()), nullptr);
  const auto directory = std::filesystem::path(scratch) / "host";
  const pid_t child = ::fork();
  if (child == 0) {
    auto machine = EmulatedMachine::create(directory);
    ::_exit(machine && (*machine)->create_domain(DomId{9}) ? 0 : 1);  // without its destructor
  }
  int status = 1;
  ASSERT_EQ(::waitpid(child, &status, 0), child);
  ASSERT_EQ(status, 0);
  ASSERT_TRUE(std::filesystem::exists(emulated_hypervisor_socket(directory, DomId{9})));
  std::ofstream(directory / "notes.txt") << "not the host's";
  {
    const auto machine = EmulatedMachine::create(directory);
    ASSERT_TRUE(machine) << machine.error().what;
    EXPECT_FALSE(std::filesystem::exists(emulated_domain_directory(directory, DomId{9})));
    EXPECT_TRUE(std::filesystem::exists(emulated_hypervisor_socket(directory, kBackend)));
  }
  EXPECT_FALSE(std::filesystem::exists(emulated_domain_directory(directory, kBackend)));
  EXPECT_TRUE(std::filesystem::exists(directory / "notes.txt"));
  std::filesystem::remove_all(scratch);
}

TEST(EmulatedMachine, Domain0MakesAndDestroysDomains) {
  EmulatedMachineThread machine(1);
  auto control = machine.control();
  ASSERT_TRUE(control.create_domain(DomId{7}));
  EXPECT_EQ(control.create_domain(DomId{7}).error().code, Errc::kExists);
  EXPECT_EQ(control.domains().value(), (std::vector{DomId{0}, DomId{1}, DomId{7}}));
  const auto guest = machine.host(7);
  EXPECT_TRUE(guest->open_store());
  const auto store = machine.host(0)->open_store().value();
  EXPECT_TRUE(store->is_introduced(DomId{7}).value());
  ASSERT_TRUE(control.destroy_domain(DomId{7}));
  EXPECT_FALSE(store->is_introduced(DomId{7}).value());
  EXPECT_EQ(EmulatedHost::open(machine.directory(), DomId{7}).error().code, Errc::kNotFound);
  EXPECT_EQ(control.destroy_domain(DomId{7}).error().code, Errc::kNotFound);
  EXPECT_EQ(control.destroy_domain(DomId{0}).error().code, Errc::kInvalid);
  EXPECT_EQ(control.create_domain(DomId{kFirstReservedDomId}).error().code, Errc::kInvalid);
}

TEST(EmulatedMachine, OnlyDomain0ControlsDomains) {
  EmulatedMachineThread machine(1);
  auto guest =
      EmulatedControl::open(emulated_hypervisor_socket(machine.directory(), kFrontend)).value();
  EXPECT_EQ(guest.create_domain(DomId{8}).error().code, Errc::kPermission);
  EXPECT_EQ(guest.destroy_domain(kFrontend).error().code, Errc::kPermission);
  EXPECT_EQ(guest.domains().error().code, Errc::kPermission);
  EXPECT_EQ(guest.counts(kFrontend).error().code, Errc::kPermission);
}

TEST(EmulatedMachine, B33_ADomainUnderAnOldNumberGetsNothingOfTheOldOne) {
  EmulatedMachineThread machine(1);
  auto control = machine.control();
  const auto back = machine.host(0);
  const auto table = back->open_grant_table().value();
  const auto bell = back->offer_channel(kFrontend).value();
  const auto back_share = back->open_grant_share().value();
  const auto lent = back_share->share(kFrontend, 1, Access::kReadWrite).value();

  const auto old_front = machine.host(1);
  const auto old_share = old_front->open_grant_share().value();
  const auto old_pages = old_share->share(kBackend, 1, Access::kReadWrite).value();
  old_pages->bytes()[0] = std::byte{5};
  const Mapping mapping = table->map(kFrontend, old_pages->refs(), Access::kReadWrite).value();

  ASSERT_TRUE(control.destroy_domain(kFrontend));
  ASSERT_TRUE(control.create_domain(kFrontend));
  EXPECT_EQ(mapping.bytes()[0], std::byte{5}) << "a mapped page outlives its domain";
  EXPECT_EQ(old_share->share(kBackend, 1, Access::kReadWrite).error().code, Errc::kClosed);
  EXPECT_EQ(table->map(kFrontend, old_pages->refs(), Access::kReadWrite).error().code,
            Errc::kInvalid);
  const auto new_front = machine.host(1);
  const auto new_table = new_front->open_grant_table().value();
  EXPECT_EQ(new_table->map(kBackend, lent->refs(), Access::kReadWrite).error().code,
            Errc::kInvalid);
  EXPECT_EQ(new_front->bind_channel(kBackend, bell->port()).error().code, Errc::kInvalid);
  EXPECT_TRUE(bell->notify()) << "to nobody, and no error";
}

TEST(EmulatedMachine, ClientsOfAStoppedHostAreToldAndMappedPagesStay) {
  EmulatedMachineThread machine(1);
  const auto front = machine.host(1);
  const auto share = front->open_grant_share().value();
  auto pages = share->share(kBackend, 1, Access::kReadWrite).value();
  const auto table = machine.host(0)->open_grant_table().value();
  const Mapping mapping = table->map(kFrontend, pages->refs(), Access::kReadWrite).value();
  const auto bell = front->offer_channel(kBackend).value();
  machine.stop();
  EXPECT_EQ(share->share(kBackend, 1, Access::kReadWrite).error().code, Errc::kClosed);
  EXPECT_EQ(front->open_grant_share().error().code, Errc::kNotFound);
  pages->bytes()[0] = std::byte{3};
  EXPECT_EQ(mapping.bytes()[0], std::byte{3});
  EXPECT_TRUE(bell->notify());
}

// Sets a variable of the environment for one test.
class ScopedVariable {
 public:
  ScopedVariable(const char* name, const std::string& value) : name_(name) {
    ::setenv(name, value.c_str(), 1);
  }
  ~ScopedVariable() { ::unsetenv(name_); }
  ScopedVariable(const ScopedVariable&) = delete;
  ScopedVariable& operator=(const ScopedVariable&) = delete;

 private:
  const char* name_;
};

TEST(OpenHost, TakesDirectoryAndDomainFromOptionsOrElseTheEnvironment) {
  const EmulatedMachineThread machine(2);
  const ScopedVariable host("SPLITRING_HOST", machine.directory().string());
  EXPECT_EQ(open_host({}).value()->domain(), DomId{0});
  const ScopedVariable domain("SPLITRING_DOMAIN", "1");
  EXPECT_EQ(open_host({}).value()->domain(), DomId{1});
  EXPECT_EQ(open_host({.emulated = {}, .domain = DomId{2}}).value()->domain(), DomId{2});
  EXPECT_EQ(open_host({}).value()->name(), "emulated host " + machine.directory().string());
}

TEST(OpenHost, RefusesADomainThatIsNoNumber) {
  for (const char* text : {"one", "-1", "1x", " 1", "32752", "99999999999999999999"}) {
    const ScopedVariable domain("SPLITRING_DOMAIN", text);
    const auto host = open_host({.emulated = "/nowhere", .domain = {}});
    ASSERT_FALSE(host) << text;
    EXPECT_EQ(host.error().code, Errc::kInvalid) << text;
    EXPECT_NE(host.error().what.find(text), std::string::npos) << host.error().what;
  }
}

TEST(OpenHost, SaysWhatToStartWhenNobodyAnswers) {
  const std::filesystem::path directory = "/nowhere/splitring";
  const auto host = open_host({.emulated = directory, .domain = DomId{3}});
  ASSERT_FALSE(host);
  EXPECT_EQ(host.error().code, Errc::kNotFound);
  EXPECT_NE(host.error().what.find(directory.string()), std::string::npos);
  EXPECT_NE(host.error().what.find("splitring host"), std::string::npos);
}

TEST(OpenHost, SaysSoWhenADirectoryIsTooLongForASocket) {
  const auto host = open_host({.emulated = "/" + std::string(120, 'd'), .domain = {}});
  ASSERT_FALSE(host);
  EXPECT_EQ(host.error().code, Errc::kInvalid);
}

TEST(XenHost, FailsCleanlyOffXen) {
  if (runs_on_xen()) GTEST_SKIP() << "this machine runs on Xen";
  const auto host = XenHost::open();
  ASSERT_FALSE(host);
  EXPECT_EQ(host.error().code, Errc::kUnsupported);
  EXPECT_NE(host.error().what.find("splitring host"), std::string::npos);
}

}  // namespace
}  // namespace splitring
