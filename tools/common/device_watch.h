// Whether a disk that a URI names is there, and learning when that may have changed.
//
//   raw:  its file, through inotify on the directory that holds it, or the nearest that exists. A
//         file that is empty is still coming: put an image in place by renaming it, as one replaces
//         anything that is in use. Moving a directory further above goes unnoticed.
//   vbd:  its directories in the store, through watches: it is ready when a backend offers it, also
//         after another frontend has closed it, and gone when the toolstack has removed it or said
//         that it goes.
//   any other scheme is always there.
//
// One thread.
#pragma once

#include <memory>
#include <string>

#include "base/result.h"
#include "blkimage/disk_uri.h"
#include "xenbus/host.h"

namespace splitring::tools {

struct Presence {
  enum class State : unsigned char { kGone, kComing, kReady };
  State state = State::kGone;
  std::string identity;  // what is there: another one under the same name has another
  // Of a file: another one if it was written to since. Of a virtual disk: which connection it has
  // (frontend::Disk::connection()), empty if none.
  std::string version;
};

class DeviceWatch {
 public:
  virtual ~DeviceWatch() = default;
  // Readable when some look() may find something else than before.
  [[nodiscard]] virtual int fd() const = 0;
  // Takes what made it readable.
  virtual Result<> clear() = 0;
  // What is there now. From here on a change makes fd() readable.
  virtual Result<Presence> look(const DiskUri& uri) = 0;

  static Result<std::unique_ptr<DeviceWatch>> of_files();
  // Opens the host, whose domain's disks they are.
  static Result<std::unique_ptr<DeviceWatch>> of_store(const HostOptions& host);
};

}  // namespace splitring::tools
