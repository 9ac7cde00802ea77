#include "blkimage/partition_table.h"

#include <algorithm>
#include <array>
#include <bit>
#include <cstring>
#include <set>
#include <string>

#include "base/endian.h"
#include "blkimage/range_device.h"

namespace splitring {
namespace {

constexpr uint8_t kProtective = 0xee;

struct MbrEntry {
  uint8_t active;
  std::array<uint8_t, 3> first_chs;
  uint8_t type;
  std::array<uint8_t, 3> last_chs;
  le32 first;
  le32 length;
};
static_assert(sizeof(MbrEntry) == 16);

struct MbrSector {
  std::array<uint8_t, 446> code;
  std::array<MbrEntry, 4> entries;
  le16 magic;
};
static_assert(sizeof(MbrSector) == 512);

struct GptHeader {
  std::array<char, 8> signature;
  le32 revision;
  le32 header_bytes;
  le32 checksum;
  le32 reserved;
  le64 own;
  le64 other;
  le64 first_usable;
  le64 last_usable;
  std::array<uint8_t, 16> disk_id;
  le64 entries_at;
  le32 entry_count;
  le32 entry_bytes;
  le32 entries_checksum;
};
static_assert(sizeof(GptHeader) == 92);

struct GptEntry {
  std::array<uint8_t, 16> type;
  std::array<uint8_t, 16> id;
  le64 first;
  le64 last;
};
static_assert(sizeof(GptEntry) == 48);

bool is_extended(uint8_t type) { return type == 0x05 || type == 0x0f || type == 0x85; }

tl::unexpected<Error> damaged(const std::string& what) {
  return fail(Errc::kInvalid, "partition table: " + what);
}

// In units of blocks, as tables count.
class Reader {
 public:
  explicit Reader(BlockQueue& lane)
      : lane_(lane),
        block_(lane.geometry().logical_block_bytes),
        blocks_(lane.geometry().capacity.bytes() / block_),
        buffer_(block_) {}

  Result<std::vector<Partition>> read() {
    const auto mbr = TRY(sector<MbrSector>(0));
    if (mbr.magic != 0xaa55) return damaged("the disk has none (no mark in its first sector)");
    if (std::ranges::any_of(mbr.entries, [](auto& e) { return e.type == kProtective; }))
      TRY_VOID(read_gpt());
    else
      TRY_VOID(read_mbr(mbr));
    return std::move(found_);
  }

 private:
  template <class T>
  Result<T> sector(uint64_t at) {
    if (at >= blocks_) return damaged("it leads beyond the end of the disk");
    TRY_VOID(lane_.read(Sectors::from_bytes(at * block_), buffer_));
    std::array<std::byte, sizeof(T)> raw{};
    std::ranges::copy(std::span(buffer_).first(raw.size()), raw.begin());
    return std::bit_cast<T>(raw);
  }

  void add(uint32_t number, uint64_t first, uint64_t count) {
    if (count == 0 || !in_range(first, count, blocks_)) return;
    found_.push_back(
        {number, Sectors::from_bytes(first * block_), Sectors::from_bytes(count * block_)});
  }

  Result<> read_mbr(const MbrSector& mbr) {
    uint32_t number = 1;
    uint64_t extended = 0;
    for (const MbrEntry& entry : mbr.entries) {
      if (is_extended(entry.type))
        extended = entry.first;
      else if (entry.type != 0)
        add(number, entry.first, entry.length);
      number++;
    }
    // Each sector of the chain has one partition, counted from itself, and the next link, counted
    // from the first.
    std::set<uint64_t> seen;
    for (uint64_t at = extended; at != 0 && number <= kMostPartitions; number++) {
      if (!seen.insert(at).second) return damaged("its logical partitions never end");
      const auto link = TRY(sector<MbrSector>(at));
      if (link.magic != 0xaa55) return damaged("a logical partition has no mark");
      if (link.entries[0].type != 0)
        add(number, at + link.entries[0].first, link.entries[0].length);
      at = is_extended(link.entries[1].type) ? extended + link.entries[1].first : 0;
    }
    return {};
  }

  Result<> read_gpt() {
    const auto header = TRY(sector<GptHeader>(1));
    if (std::memcmp(header.signature.data(), "EFI PART", 8) != 0)
      return damaged("a protective MBR, but no GPT behind it");
    const uint64_t entry_bytes = header.entry_bytes;
    if (entry_bytes < 128 || entry_bytes > block_ || block_ % entry_bytes != 0)
      return damaged("entries of " + std::to_string(entry_bytes) + " bytes");
    const uint32_t count = std::min<uint32_t>(header.entry_count, kMostPartitions);
    const uint64_t per_block = block_ / entry_bytes;
    for (uint32_t i = 0; i < count; i++) {
      if (i % per_block == 0) TRY(sector<MbrSector>(header.entries_at + i / per_block));
      std::array<std::byte, sizeof(GptEntry)> raw{};
      std::ranges::copy(std::span(buffer_).subspan(i % per_block * entry_bytes, raw.size()),
                        raw.begin());
      const auto entry = std::bit_cast<GptEntry>(raw);
      const bool used = std::ranges::any_of(entry.type, [](uint8_t byte) { return byte != 0; });
      if (used && entry.last >= entry.first && entry.last < blocks_)
        add(i + 1, entry.first, entry.last - entry.first + 1);
    }
    return {};
  }

  BlockQueue& lane_;
  const uint64_t block_;
  const uint64_t blocks_;
  std::vector<std::byte> buffer_;
  std::vector<Partition> found_;
};

}  // namespace

Result<std::vector<Partition>> read_partitions(BlockQueue& lane) { return Reader(lane).read(); }

Result<std::unique_ptr<BlockDevice>> open_partition(std::unique_ptr<BlockDevice> disk,
                                                    uint32_t number) {
  std::vector<Partition> partitions;
  {
    const auto lane = TRY(disk->open_queue({}));
    auto read = read_partitions(*lane);
    if (!read) return fail_within(disk->name(), read.error());
    partitions = std::move(*read);
  }
  std::string known;
  for (const Partition& partition : partitions) {
    if (partition.number == number)
      return make_range(std::move(disk), partition.first, partition.length);
    known += (known.empty() ? "" : ", ") + std::to_string(partition.number);
  }
  return fail(Errc::kNotFound, disk->name() + " has no partition " + std::to_string(number) +
                                   (known.empty() ? "" : "; it has " + known));
}

}  // namespace splitring
