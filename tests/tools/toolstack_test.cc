#include "tools/common/toolstack.h"

#include <gtest/gtest.h>

#include "tests/support/xenbus/emulated_machine_thread.h"

namespace splitring::tools {
namespace {

using splitring::testing::EmulatedMachineThread;

constexpr DomId kDriverDomain{1};
constexpr DomId kGuest{2};

class Toolstack : public ::testing::Test {
 protected:
  Toolstack() {
    attach({"vbd", kDriverDomain, kGuest, 51712});
    attach({"splitring", DomId{0}, kGuest, 51728});
  }
  void attach(const DevicePath& path) {
    const auto host = machine_.host(0);
    const auto store = host->open_store();
    ASSERT_TRUE(store);
    ASSERT_TRUE(write_disk_nodes(**store, {path, virtual_device_name(path.device), "mem:1M"}));
  }
  // What `domain` is shown.
  std::vector<std::string> listed(unsigned domain) {
    const auto host = machine_.host(domain);
    const auto store = host->open_store();
    if (!store) return {store.error().what};
    const auto disks = list_disks((*store)->now(), host->domain());
    if (!disks) return {disks.error().what};
    std::vector<std::string> names;
    for (const ListedDisk& disk : *disks) names.push_back(disk.vdev + " " + disk.target);
    return names;
  }

  EmulatedMachineThread machine_{2};
};

TEST_F(Toolstack, Domain0IsShownTheDisksOfEveryBackendDomain) {
  EXPECT_EQ(listed(0), (std::vector<std::string>{"xvdb mem:1M", "xvda mem:1M"}));
}

TEST_F(Toolstack, ADriverDomainIsShownItsOwnDisks) {
  EXPECT_EQ(listed(1), std::vector<std::string>{"xvda mem:1M"});
}

TEST_F(Toolstack, AGuestWithoutBackendsIsShownNoDisk) {
  EXPECT_EQ(listed(2), std::vector<std::string>{});
}

}  // namespace
}  // namespace splitring::tools
