#include "grant/xen_errors.h"

#include <string>

namespace splitring {

tl::unexpected<Error> fail_opening_xen(const char* device, const char* module, int error_number) {
  const std::string name = device;
  switch (error_number) {
    case ENOENT:
    case ENODEV:
    case ENXIO:
      return fail(Errc::kUnsupported,
                  name +
                      " is not there: this machine does not run on Xen (use an emulated host: "
                      "`splitring host`), or its kernel lacks a module (`modprobe " +
                      module + "`)");
    case EACCES:
    case EPERM:
      return fail(
          Errc::kPermission,
          name + " may not be opened: run as root, or let your group have it by a udev rule");
    default: return fail_errno("opening " + name, error_number);
  }
}

}  // namespace splitring
