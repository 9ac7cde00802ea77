// libFuzzer: what lies beside an archive or around it. The first byte of the input chooses: a
// compressed file, a saved index as it stands, or the parts of one whose checksums are right.
// Nothing of it leads out of the file or the disk, takes unbounded memory or time, or disturbs the
// process.
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstdlib>
#include <cstring>
#include <fstream>

#include "blkimage/packed_file.h"
#include "fs/tar/tar_file_system.h"
#include "tests/support/fs/test_disk.h"

namespace {

using namespace splitring;

void require(bool condition) {
  if (!condition) std::abort();
}

class MemorySource final : public PackedSource {
 public:
  explicit MemorySource(std::span<const std::byte> bytes)
      : PackedSource(bytes.size()), bytes_(bytes) {}
  Result<> read(uint64_t offset, std::span<std::byte> out) override {
    require(in_range(offset, out.size(), bytes()) && out.size() <= kMostBytes);
    std::ranges::copy(bytes_.subspan(offset, out.size()), out.begin());
    return {};
  }

 private:
  const std::span<const std::byte> bytes_;
};

void read_packed(std::span<const std::byte> bytes) {
  MemorySource source(bytes);
  const auto format = detect_packed_format(source);
  require(format.has_value());
  const auto map =
      map_packed_file(source, *format, {.run_bytes = 1U << 20, .measured_bytes = 1U << 20});
  if (!map) return;
  uint64_t last = 0;
  for (const PackedPoint& point : (*map)->points) {
    require(point.unpacked >= last && point.unpacked <= (*map)->unpacked_bytes);
    last = point.unpacked;
  }
  const auto decoder = std::move(*make_packed_decoder(*map, source));
  std::array<std::byte, 4096> out;
  for (const size_t point : {(*map)->points.size() - 1, size_t{0}}) {
    if (point >= (*map)->points.size() || !decoder->restart(point)) continue;
    for (int reads = 0; reads < 100; reads++) {
      const auto got = decoder->next(out);
      if (!got || *got == 0) break;
      require(*got <= out.size());
    }
  }
}

void use_saved(const std::string& path) {
  test::TestDisk disk(std::string(1U << 16, 'x'));
  const auto lane = std::move(*disk.open_queue({}));
  const auto tar = TarFileSystem::open_saved(*lane, path, {});
  if (!tar) return;
  const uint64_t disk_bytes = disk.geometry().capacity.bytes();
  (*tar)->for_each([&](const TarEntry& entry) {
    (void)(*tar)->find(entry.path);
    (void)(*tar)->resolve(entry.path);
    if (entry.kind != TarKind::kFile) return;
    if (!entry.sparse) require(in_range(entry.offset, entry.size, disk_bytes));
    std::array<std::byte, 600> out;
    (void)(*tar)->read(*lane, entry, entry.size / 2, out);
  });
  (void)(*tar)->list("");
  (void)(*tar)->find("a/b");
  (void)(*tar)->check_index();
}

// Cuts the input in three: records, cells, names; the extents lie in the records' bytes too.
void use_parts(std::span<const std::byte> bytes, const std::string& path) {
  std::vector<TarRecord> records(1 + bytes.size() / 128);
  std::memcpy(records.data(), bytes.data(),
              std::min(bytes.size(), records.size() * sizeof(TarRecord)));
  std::vector<TarExtent> extents(records.size());
  std::memcpy(extents.data(), bytes.data(),
              std::min(bytes.size(), extents.size() * sizeof(TarExtent)));
  std::vector<TarCell> cells(8);
  const size_t cell_bytes = std::min(bytes.size(), cells.size() * sizeof(TarCell));
  std::memcpy(cells.data(), bytes.last(cell_bytes).data(), cell_bytes);
  const std::span<const char> names(reinterpret_cast<const char*>(bytes.data()), bytes.size());
  const TarTable::Parts parts{
      .records = records, .names = names, .cells = cells, .extents = extents, .hash = {1, 1}};
  require(save_tar_index(path, {}, parts, {.disk_bytes = 1U << 16}).has_value());
  use_saved(path);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size == 0) return 0;
  const auto bytes = std::as_bytes(std::span(data, size)).subspan(1);
  static const std::string path = "/dev/shm/tar-packed-fuzz-" + std::to_string(::getpid());
  switch (data[0] % 3) {
    case 0: read_packed(bytes); break;
    case 1: {
      ::unlink(path.c_str());
      std::ofstream(path, std::ios::binary)
          .write(reinterpret_cast<const char*>(bytes.data()),
                 static_cast<std::streamsize>(bytes.size()));
      use_saved(path);
      break;
    }
    default: use_parts(bytes, path); break;
  }
  ::unlink(path.c_str());
  return 0;
}
