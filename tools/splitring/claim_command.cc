// splitring claim: takes a disk of this domain from the kernel, so that a program of ours can use
// it (vbd:xvda), and gives it back.
//
// Linux's xen-blkfront binds to every device/vbd/*. The bus is asked through sysfs: its devices are
// called vbd-NUMBER (drivers/xen/xenbus/xenbus_probe_frontend.c).
#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <cstdio>
#include <filesystem>
#include <memory>

#include "base/unique_fd.h"
#include "tools/common/reach_host.h"
#include "tools/common/state_wait.h"
#include "tools/splitring/command.h"
#include "xenbus/device_path.h"
#include "xenbus/nodes.h"

namespace splitring::tools {
namespace {

namespace fs = std::filesystem;

constexpr const char* kBus = "/sys/bus/xen";
constexpr std::chrono::seconds kReturnTimeout{10};

struct ClaimOptions {
  uint32_t device = 0;
  std::string name;
  bool release = false;
};

fs::path bus_device(uint32_t number) {
  return fs::path(kBus) / "devices" / ("vbd-" + std::to_string(number));
}

Result<> write_sysfs(const fs::path& path, const std::string& text) {
  const UniqueFd file(::open(path.c_str(), O_WRONLY | O_CLOEXEC));
  if (!file || ::write(file.get(), text.data(), text.size()) < 0)
    return fail_errno("writing " + text + " to " + path.string(), errno);
  return {};
}

// The block devices that the kernel has made of it: "xvda".
std::vector<std::string> kernel_disks(uint32_t number) {
  std::vector<std::string> names;
  std::error_code error;
  for (const auto& entry : fs::directory_iterator(bus_device(number) / "block", error))
    names.push_back(entry.path().filename());
  return names;
}

// blkfront lets go of a mounted disk, too, and all its I/O fails from then on.
Result<> check_unused(const std::string& disk) {
  const std::string path = "/dev/" + disk;
  const UniqueFd file(::open(path.c_str(), O_RDONLY | O_EXCL | O_CLOEXEC));
  if (!file && errno == EBUSY)
    return fail(Errc::kBusy, path + " is in use here (mounted, or part of another device)");
  return {};
}

Result<> check_present(const ClaimOptions& options) {
  std::error_code error;
  if (!fs::exists(kBus, error))
    return fail(Errc::kUnsupported, "this kernel has no bus of Xen devices: it is no Xen guest");
  if (!fs::exists(bus_device(options.device), error))
    return fail(Errc::kNotFound, "this domain is given no disk " + options.name + " (" +
                                     bus_device(options.device).string() + ")");
  return {};
}

Result<> take(const ClaimOptions& options) {
  const fs::path device = bus_device(options.device);
  std::error_code error;
  if (fs::exists(device / "driver", error)) {
    for (const std::string& disk : kernel_disks(options.device)) TRY_VOID(check_unused(disk));
    TRY_VOID(write_sysfs(device / "driver" / "unbind", device.filename()));
  }
  std::printf("claimed %s: open it as vbd:%s\n", options.name.c_str(), options.name.c_str());
  return {};
}

// A driver waits for a backend that waits for it: what we have left in the store must be over.
Result<> wait_for_backend(Store& store, const DevicePath& path) {
  StoreView& view = store.now();
  const std::string frontend = path.frontend_directory();
  const auto backend = TRY(read_optional(view, frontend + "/backend"));
  if (!backend) return fail(Errc::kNotFound, frontend + " names no backend");
  const auto look = [&]() -> Result<bool> {
    const auto state = TRY(read_state(view, *backend));
    if (state == XenbusState::kClosed)
      TRY_VOID(write_state(view, frontend, XenbusState::kInitialising));
    return state == XenbusState::kInitWait || state == XenbusState::kInitialising;
  };
  auto waited = wait_for(store, *backend, kReturnTimeout, look);
  if (waited || waited.error().code != Errc::kTimeout) return waited;
  return fail(Errc::kTimeout, "the backend of " + *backend +
                                  " does not wait for us: does a program use vbd:" +
                                  virtual_device_name(path.device) + " still?");
}

// Linux 6.1 binds, but its device is still Closed in its own memory and waits for ever: only a
// device that a toolstack makes anew is served again (drivers/block/xen-blkfront.c,
// blkback_changed()).
Result<> wait_for_kernel(Store& store, const DevicePath& path) {
  const std::string frontend = path.frontend_directory();
  const auto look = [&]() -> Result<bool> {
    return TRY(read_state(store.now(), frontend)) == XenbusState::kConnected;
  };
  auto waited = wait_for(store, frontend, kReturnTimeout, look);
  if (waited || waited.error().code != Errc::kTimeout) return waited;
  return fail(Errc::kUnsupported, "this kernel takes a disk once only: detach " +
                                      virtual_device_name(path.device) +
                                      " in domain 0 and attach it again");
}

Result<> give_back(const Session& session, const ClaimOptions& options) {
  const fs::path device = bus_device(options.device);
  std::error_code error;
  if (fs::exists(device / "driver", error))
    return fail(Errc::kExists, options.name + " is the kernel's already");
  const auto host = TRY(reach_host(session.host));
  const auto store = TRY(host->open_store());
  const DevicePath path{"vbd", DomId{}, host->domain(), options.device};
  TRY_VOID(wait_for_backend(*store, path));
  TRY_VOID(write_sysfs(fs::path(kBus) / "drivers/vbd/bind", device.filename()));
  TRY_VOID(wait_for_kernel(*store, path));
  std::printf("gave %s back to the kernel\n", options.name.c_str());
  return {};
}

Result<> claim(const Session& session, const ClaimOptions& options) {
  TRY_VOID(check_present(options));
  return options.release ? give_back(session, options) : take(options);
}

}  // namespace

void add_claim_command(CLI::App& program, Session& session) {
  auto options = std::make_shared<ClaimOptions>();
  CLI::App* command =
      program.add_subcommand("claim", "Take a disk of this Xen guest from its kernel");
  command
      ->add_option_function<std::string>(
          "disk",
          [options](const std::string& name) {
            const auto number = virtual_device_number(name);
            if (!number) throw CLI::ValidationError("disk", number.error().what);
            options->device = *number;
            options->name = name;
          },
          "As the guest calls it: xvda")
      ->type_name("DISK")
      ->required();
  command->add_flag("--release", options->release, "Give it back to the kernel");
  command->footer(
      "Examples:\n"
      "  splitring claim xvda && kiosk --disk vbd:xvda\n"
      "  splitring claim --release xvda");
  runs(*command, session, options, claim);
}

}  // namespace splitring::tools
