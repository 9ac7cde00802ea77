// The promises of every BlockDevice on a frontend disk of this domain: what the lab of a real Xen
// runs in a guest. What the disk holds is lost.
//
//   disk_conformance xvda [lanes=N] [GoogleTest's options]      the disk has 4 MiB
#include <cstdio>
#include <cstdlib>
#include <string>

#include "base/parse.h"
#include "frontend/disk.h"
#include "tests/support/device_conformance.h"
#include "xenbus/device_path.h"
#include "xenbus/host.h"

namespace splitring {
namespace {

struct Arguments {
  uint32_t device = 0;
  frontend::DiskOptions options;
} arguments;

class GuestFixture : public DiskFixture {
 public:
  GuestFixture()
      : host_(must(open_host({}))),
        disk_(must(frontend::Disk::connect(*host_, arguments.device, arguments.options))) {}
  BlockDevice& device() override { return *disk_; }

 private:
  std::unique_ptr<Host> host_;
  std::unique_ptr<frontend::Disk> disk_;
};

struct GuestProvider {
  static std::unique_ptr<DiskFixture> make(Sectors) { return std::make_unique<GuestFixture>(); }
};

INSTANTIATE_TYPED_TEST_SUITE_P(Guest, DeviceConformance, GuestProvider);

}  // namespace
}  // namespace splitring

int main(int argc, char** argv) {
  using namespace splitring;
  testing::InitGoogleTest(&argc, argv);
  const auto device = virtual_device_number(argc > 1 ? argv[1] : "");
  if (!device) {
    std::fprintf(stderr, "usage: disk_conformance DISK [lanes=N]\n");
    return 2;
  }
  arguments.device = *device;
  arguments.options.pool_pages = 512;  // with the rings, what a Linux guest may grant
  for (int i = 2; i < argc; i++) {
    const std::string word = argv[i];
    const auto lanes = word.starts_with("lanes=") ? parse_decimal(word.substr(6), 8) : std::nullopt;
    if (!lanes) return 2;
    arguments.options.lanes = static_cast<uint32_t>(*lanes);
  }
  return RUN_ALL_TESTS();
}
