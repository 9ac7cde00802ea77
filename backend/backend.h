// The backend: watches the store for disks that a toolstack gives to our domain, shakes hands with
// their frontends, and serves each ring with a thread and a lane of its own.
//
// One control thread owns a Backend: it calls process() whenever fd() is readable. report() may be
// called from any thread. Rings never wait for the control thread, nor for one another.
//
// Device life (facts: xen/include/public/io/xenbus.h, Linux xen-blkback/xenbus.c):
//   toolstack makes BE/kind/F/D      -> image opened, offer written, InitWait
//   frontend Initialised/Connected   -> rings mapped, disk told, Connected
//   frontend Closing, or online=0    -> requests in flight finish, unmapped, Closed
//   frontend Initialising, online=1  -> InitWait again
//   directory gone or domain dead    -> all of the above without waiting for anybody
#pragma once

#include <chrono>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include "backend/report.h"
#include "base/result.h"
#include "base/spin_wait.h"
#include "blkimage/disk_uri.h"
#include "ring/ring_layout.h"
#include "xenbus/host.h"
#include "xenbus/nodes.h"

namespace splitring::backend {

// What blkback offers; more would let one request of a hostile frontend cost more than it is worth.
inline constexpr uint32_t kMaxIndirectSegmentsOffered = 256;

struct BackendOptions {
  // Of the directories to serve: backend/KIND/... The toolstack's own, and one that no other driver
  // looks at.
  std::vector<std::string> kinds{"vbd", "splitring"};
  BackendOffer offer;
  SpinWait::Mode polling = SpinWait::Mode::kAuto;
  // The ABI of a frontend that does not say: x86_32 on x86, as all peers assume.
  blkif::Abi default_abi = blkif::Abi::kX86_32;
  // Files may be opened only below these; empty: anywhere (B35).
  std::vector<std::filesystem::path> allowed_roots;
  // Ring and data pages of all devices together that may be mapped (B39).
  uint32_t max_mapped_pages = 1U << 18;
  // Where what a killed process has taken and not answered is kept for the next one: memory that
  // outlives processes, as /run is; made if it is not there. Empty: nowhere.
  std::filesystem::path journal_directory;
  // How long a closing device waits for its image: then it says Closed nevertheless, and its report
  // that the image hangs (B37).
  std::chrono::seconds drain_timeout{10};
  // How long an image that is in use is tried again. One whose rings a process before us has left
  // is waited for without end: that process may hang in the kernel, and giving up would end the
  // guest's disk.
  std::chrono::milliseconds busy_patience{2000};
};

class Backend {
 public:
  // The host and schemes must outlive the result. Takes over what a backend that died left.
  static Result<std::unique_ptr<Backend>> start(Host& host, const DiskSchemes& schemes,
                                                const BackendOptions& options);
  // Stops every ring, finishes what is in flight, unmaps, and leaves the devices in the store for
  // the next backend: that goes on with the same rings, and frontends see a pause.
  virtual ~Backend() = default;

  // Readable when process() has something to do.
  [[nodiscard]] virtual int fd() const = 0;
  // Never blocks for long: it waits for the store's answers, and for no image.
  virtual void process() = 0;

  [[nodiscard]] virtual std::vector<DeviceReport> report() const = 0;
};

}  // namespace splitring::backend
