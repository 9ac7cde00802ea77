#include "tests/support/blkimage/loop_device.h"

#include <fcntl.h>
#include <linux/loop.h>
#include <sys/ioctl.h>

#include <cerrno>
#include <cstring>

#include "tests/support/device_conformance.h"

namespace splitring {
namespace {

[[noreturn]] void lacks(const std::string& what) {
  throw MachineLacks(what + ": " + std::strerror(errno));
}

}  // namespace

LoopDevice::LoopDevice(Sectors capacity, uint32_t block_bytes)
    : file_(std::in_place, ScratchFile::Where::kDisk, capacity) {
  const UniqueFd file(::open(file_->path().c_str(), O_RDWR | O_CLOEXEC));
  if (!file) lacks(file_->path());
  set_up(file.get(), block_bytes);
}

LoopDevice::LoopDevice(int file, uint32_t block_bytes) { set_up(file, block_bytes); }

void LoopDevice::set_up(int file, uint32_t block_bytes) {
  const UniqueFd control(::open("/dev/loop-control", O_RDWR | O_CLOEXEC));
  if (!control) lacks("/dev/loop-control");
  loop_config config{};
  config.fd = static_cast<uint32_t>(file);
  config.block_size = block_bytes;
  config.info.lo_flags = LO_FLAGS_AUTOCLEAR;
  // Another process may take the device between the question and the configuration.
  for (;;) {
    const int number = ::ioctl(control.get(), LOOP_CTL_GET_FREE);
    if (number < 0) lacks("a free loop device");
    path_ = "/dev/loop" + std::to_string(number);
    device_.reset(::open(path_.c_str(), O_RDWR | O_CLOEXEC));
    if (!device_) lacks(path_);
    if (::ioctl(device_.get(), LOOP_CONFIGURE, &config) == 0) return;
    if (errno != EBUSY) lacks("configuring " + path_);
  }
}

}  // namespace splitring
