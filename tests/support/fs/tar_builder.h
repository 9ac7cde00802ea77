// Archives made by hand, byte by byte, for what no tar program would write.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>

#include "fs/tar/tar_file_system.h"
#include "tests/support/fs/test_disk.h"

namespace splitring::test {

class TarBuilder {
 public:
  using Edit = std::function<void(TarWireHeader&)>;

  // A POSIX ustar header with `body` behind it, padded. `edit` changes fields before the checksum
  // is taken.
  TarBuilder& member(std::string_view name, std::string_view body, char type = '0',
                     std::string_view link = {}, const Edit& edit = nullptr);
  TarBuilder& directory(std::string_view name) { return member(name, "", '5'); }
  TarBuilder& symlink(std::string_view name, std::string_view to) {
    return member(name, "", '2', to);
  }
  TarBuilder& hard_link(std::string_view name, std::string_view to) {
    return member(name, "", '1', to);
  }
  // An 'x' or 'g' header of these records.
  TarBuilder& pax(std::string_view records, char type = 'x') {
    return member("pax", records, type);
  }
  TarBuilder& zero_blocks(size_t count);
  TarBuilder& raw(std::string_view bytes);

  [[nodiscard]] const std::string& bytes() const { return bytes_; }

  // "LENGTH KEY=VALUE\n"
  static std::string record(std::string_view key, std::string_view value);

 private:
  std::string bytes_;
};

// An archive opened on a disk of its own.
struct OpenTar {
  std::unique_ptr<TestDisk> disk;
  std::unique_ptr<BlockQueue> lane;
  std::unique_ptr<TarFileSystem> tar;

  // The whole file; "<none>" if there is no such file, "<error>" if it cannot be read.
  [[nodiscard]] std::string contents(std::string_view path) const;
  [[nodiscard]] bool warns_of(std::string_view text) const;
};

// Fails the test if it does not open.
OpenTar open_tar(std::string bytes, uint32_t block_bytes = kSectorSize,
                 const TarLimits& limits = {});

}  // namespace splitring::test
