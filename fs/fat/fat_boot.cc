#include "fs/fat/fat_boot.h"

#include <algorithm>
#include <bit>
#include <cstring>
#include <vector>

#include "fs/disk_bytes.h"
#include "fs/fat/fat_io.h"

namespace splitring {
namespace {

template <class T>
std::span<std::byte> bytes_of(T& value) {
  return std::as_writable_bytes(std::span(&value, 1));
}

FatBootTail tail_of(const FatBootSector& boot, const FatGeometry& geometry) {
  std::array<std::byte, sizeof(FatBootTail)> raw{};
  std::memcpy(raw.data(), reinterpret_cast<const std::byte*>(&boot) + geometry.boot_tail(),
              raw.size());
  return std::bit_cast<FatBootTail>(raw);
}

void set_tail(FatBootSector& boot, const FatGeometry& geometry, const FatBootTail& tail) {
  std::memcpy(reinterpret_cast<std::byte*>(&boot) + geometry.boot_tail(), &tail, sizeof tail);
}

}  // namespace

Result<FatBoot> read_fat_boot(BlockQueue& lane) {
  const uint64_t disk_bytes = lane.geometry().capacity.bytes();
  FatBootSector boot;
  if (disk_bytes < sizeof boot)
    return fail(Errc::kInvalid, "no FAT volume: the disk has no boot sector");
  TRY_VOID(read_disk_bytes(lane, 0, bytes_of(boot)));
  const FatGeometry geometry = TRY(parse_fat_boot_sector(boot, disk_bytes));
  return FatBoot{geometry, tail_of(boot, geometry)};
}

namespace {

Result<> write_boot_state(BlockQueue& lane, const FatGeometry& geometry, bool dirty) {
  FatBootSector boot;
  TRY_VOID(read_disk_bytes(lane, 0, bytes_of(boot)));
  FatBootTail tail = tail_of(boot, geometry);
  tail.state =
      static_cast<uint8_t>(dirty ? tail.state | kFatStateDirty : tail.state & ~kFatStateDirty);
  set_tail(boot, geometry, tail);
  TRY_VOID(write_disk_bytes(lane, 0, bytes_of(boot)));
  return lane.flush();
}

}  // namespace

// The boot sector, which is one, says "dirty" as long as any copy of the FAT may.
Result<> write_fat_state(BlockQueue& lane, const FatGeometry& geometry, FatTable& table,
                         bool dirty) {
  if (dirty) TRY_VOID(write_boot_state(lane, geometry, true));
  table.set_clean_mark(!dirty);
  if (table.dirty()) {
    TRY_VOID(table.write(lane));
    TRY_VOID(lane.flush());
  }
  return dirty ? Result<>{} : write_boot_state(lane, geometry, false);
}

Result<> write_fat_label(BlockQueue& lane, const FatGeometry& geometry, const FatShortName& label) {
  std::vector<uint64_t> copies{0};
  if (geometry.backup_offset != 0) copies.push_back(geometry.backup_offset);
  for (const uint64_t offset : copies) {
    FatBootSector boot;
    TRY_VOID(read_disk_bytes(lane, offset, bytes_of(boot)));
    FatBootTail tail = tail_of(boot, geometry);
    if (boot.magic != kFatBootMagic || tail.signature != kFatExtendedSignature) continue;
    std::ranges::copy(label, tail.label.begin());
    set_tail(boot, geometry, tail);
    TRY_VOID(write_disk_bytes(lane, offset, bytes_of(boot)));
  }
  return {};
}

Result<std::optional<FatInfoSector>> read_fat_info(BlockQueue& lane, const FatGeometry& geometry) {
  if (geometry.info_offset == 0) return std::optional<FatInfoSector>{};
  FatInfoSector info;
  TRY_VOID(read_disk_bytes(lane, geometry.info_offset, bytes_of(info)));
  const FatInfoSector good;
  if (info.lead != good.lead || info.magic != good.magic) return std::optional<FatInfoSector>{};
  return std::optional(info);
}

Result<> write_fat_info(BlockQueue& lane, const FatGeometry& geometry, const FatTable& table) {
  if (geometry.info_offset == 0) return {};
  FatInfoSector info;
  info.free_clusters = table.free_count();
  info.next_free = table.next_hint();
  return write_disk_bytes(lane, geometry.info_offset, bytes_of(info));
}

}  // namespace splitring
