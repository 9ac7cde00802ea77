// The opening of a device's image, on a thread of its own: storage that hangs keeps that thread,
// and neither the control thread nor another device (B37).
#pragma once

#include <atomic>
#include <filesystem>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "base/result.h"
#include "blkimage/block_device.h"
#include "blkimage/disk_uri.h"

namespace splitring::backend {

class ImageOpening {
 public:
  struct Order {
    DiskSchemes schemes;  // a copy: the opening may outlive everything else
    std::vector<std::filesystem::path> allowed_roots;  // as check_image_policy() has it
    std::string target;
    OpenOptions options;
  };

  // `changed_fd`, an eventfd that outlives the opening, becomes readable when it is done.
  // Errors: kLimit: no thread.
  static Result<std::unique_ptr<ImageOpening>> start(Order order, int changed_fd);
  // If it is not done, it is left to itself, and what it opens is closed again.
  ~ImageOpening();
  ImageOpening(const ImageOpening&) = delete;
  ImageOpening& operator=(const ImageOpening&) = delete;

  [[nodiscard]] bool is_of(const std::string& target, bool read_only) const;
  [[nodiscard]] bool done() const;
  // Once, when done.
  Result<std::unique_ptr<BlockDevice>> take();

 private:
  struct Shared;
  explicit ImageOpening(std::shared_ptr<Shared> shared);

  std::shared_ptr<Shared> shared_;
  std::thread thread_;
};

}  // namespace splitring::backend
