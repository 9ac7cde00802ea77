// What the benchmark of FAT runs in one process, upon an image that it overwrites:
//   fat_load reads FILE   4 KiB at random places: of the raw disk, of a file of 1 GiB in one piece,
//                         and of one of 256 MiB in 65,536 pieces; {"raw_us", "whole_us",
//                         "scattered_us"} for one read
//   fat_load stream FILE  1 GiB from memory to the raw disk and into a file on it, and back, 32
//                         requests in flight: {"raw_in_ms", "file_in_ms", "raw_out_ms",
//                         "file_out_ms"}
//   fat_load names FILE   lookups in a folder of 50,000 files: {"first_us", "lookup_us"}, of which
//                         the first one reads the folder
#include <algorithm>
#include <chrono>
#include <cstdio>
#include <random>
#include <string>
#include <vector>

#include "blkimage/raw_image.h"
#include "fs/fat/fat_format.h"
#include "fs/fat/fat_volume.h"
#include "fs/tar/lane_memory.h"

namespace {

using namespace splitring;

constexpr size_t kReadBytes = 4096;
constexpr uint64_t kWholeBytes = uint64_t{1} << 30;
constexpr size_t kInFlightBytes = size_t{32} << 20;  // in requests of 1 MiB
constexpr uint32_t kPieces = 65'536;
constexpr uint32_t kReads = 20'000;
constexpr uint32_t kNames = 50'000;

class Stopwatch {
 public:
  [[nodiscard]] double us() const {
    return std::chrono::duration<double, std::micro>(std::chrono::steady_clock::now() - begin_)
        .count();
  }

 private:
  std::chrono::steady_clock::time_point begin_ = std::chrono::steady_clock::now();
};

Result<FatNode> make_file(FatVolume& volume, BlockQueue& lane, const std::string& name) {
  const FatNode node = TRY(volume.create(lane, kFatRoot, name)).node;
  TRY_VOID(volume.open_file(lane, node));
  return node;
}

Result<FatNode> make_whole(FatVolume& volume, BlockQueue& lane) {
  const FatNode node = TRY(make_file(volume, lane, "whole"));
  const std::vector<std::byte> bytes(size_t{1} << 20, std::byte{1});
  for (uint64_t at = 0; at < kWholeBytes; at += bytes.size())
    TRY_VOID(volume.write(lane, node, at, bytes));
  return node;
}

struct Stream {
  double in_ms = 0;
  double out_ms = 0;
};

// Both: void(offset, bytes); a flush ends what is written.
template <class Write, class Read, class Flush>
Result<Stream> measure_stream(std::span<std::byte> bytes, Write&& write, Read&& read,
                              Flush&& flush) {
  const Stopwatch in;
  for (uint64_t at = 0; at < kWholeBytes; at += bytes.size()) TRY_VOID(write(at, bytes));
  TRY_VOID(flush());
  const double in_us = in.us();
  const Stopwatch out;
  for (uint64_t at = 0; at < kWholeBytes; at += bytes.size()) TRY_VOID(read(at, bytes));
  return Stream{in_us / 1e3, out.us() / 1e3};
}

Result<Stream> stream_raw(BlockQueue& lane, uint64_t begin, std::span<std::byte> bytes) {
  return measure_stream(
      bytes,
      [&](uint64_t at, auto part) { return lane.write(Sectors::from_bytes(begin + at), part); },
      [&](uint64_t at, auto part) { return lane.read(Sectors::from_bytes(begin + at), part); },
      [&] { return lane.flush(); });
}

Result<Stream> stream_file(BlockQueue& lane, std::span<std::byte> bytes) {
  const auto volume = TRY(FatVolume::open(lane));
  const FatNode node = TRY(make_file(*volume, lane, "stream"));
  const Stream taken = TRY(measure_stream(
      bytes, [&](uint64_t at, auto part) { return volume->write(lane, node, at, part); },
      [&](uint64_t at, auto part) -> Result<> {
        TRY(volume->read(lane, node, at, part));
        return {};
      },
      [&] { return volume->sync(lane); }));
  TRY_VOID(volume->close(lane));
  return taken;
}

// In turn, so that both meet the machine in the same moods; the best of each.
Result<> measure_streams(BlockQueue& lane) {
  LaneMemory memory = TRY(LaneMemory::allocate(lane, kInFlightBytes));
  std::ranges::fill(memory.bytes(), std::byte{3});
  const uint64_t data = uint64_t{64} << 20;     // behind all that a volume has of its own
  TRY(stream_raw(lane, data, memory.bytes()));  // the disk has memory for all of it then
  Stream raw{1e9, 1e9};
  Stream file{1e9, 1e9};
  const auto keep = [](Stream& best, const Stream& now) {
    best = {std::min(best.in_ms, now.in_ms), std::min(best.out_ms, now.out_ms)};
  };
  for (int round = 0; round < 3; round++) {
    keep(raw, TRY(stream_raw(lane, data, memory.bytes())));
    TRY_VOID(format_fat(lane, {.type = FatType::kFat32, .cluster_bytes = kReadBytes}));
    keep(file, TRY(stream_file(lane, memory.bytes())));
  }
  std::printf(
      "{\"raw_in_ms\": %.1f, \"file_in_ms\": %.1f, \"raw_out_ms\": %.1f, \"file_out_ms\": "
      "%.1f}\n",
      raw.in_ms, file.in_ms, raw.out_ms, file.out_ms);
  return {};
}

// Two files that grow in turn; what each has set aside goes back as it is closed.
Result<FatNode> make_scattered(FatVolume& volume, BlockQueue& lane) {
  const FatNode node = TRY(make_file(volume, lane, "scattered"));
  const FatNode other = TRY(make_file(volume, lane, "other"));
  const std::vector<std::byte> bytes(kReadBytes, std::byte{2});
  for (uint32_t i = 0; i < kPieces; i++) {
    for (const FatNode file : {node, other}) {
      TRY(volume.append(lane, file, bytes));
      TRY_VOID(volume.close_file(lane, file));
      TRY_VOID(volume.open_file(lane, file));
    }
  }
  return node;
}

// Microseconds for one.
template <class Read>
Result<double> read_at_random(uint64_t bytes, Read&& read) {
  std::mt19937_64 random(1);
  std::vector<std::byte> out(kReadBytes);
  const Stopwatch watch;
  for (uint32_t i = 0; i < kReads; i++)
    TRY_VOID(read(random() % (bytes / kReadBytes) * kReadBytes, out));
  return watch.us() / kReads;
}

Result<> measure_reads(BlockQueue& lane) {
  const auto volume = TRY(FatVolume::open(lane));
  const FatNode whole = TRY(make_whole(*volume, lane));
  const FatNode scattered = TRY(make_scattered(*volume, lane));
  TRY_VOID(volume->sync(lane));
  const auto of_file = [&](FatNode node) {
    return [&volume, &lane, node](uint64_t at, std::span<std::byte> out) -> Result<> {
      TRY(volume->read(lane, node, at, out));
      return {};
    };
  };
  const double raw =
      TRY(read_at_random(kWholeBytes, [&](uint64_t at, std::span<std::byte> out) -> Result<> {
        return lane.read(Sectors::from_bytes(at), out);
      }));
  const double in_whole = TRY(read_at_random(kWholeBytes, of_file(whole)));
  const double in_pieces = TRY(read_at_random(uint64_t{kPieces} * kReadBytes, of_file(scattered)));
  std::printf("{\"raw_us\": %.3f, \"whole_us\": %.3f, \"scattered_us\": %.3f}\n", raw, in_whole,
              in_pieces);
  return volume->close(lane);
}

// One slot each: longer names of so many files are more than a directory of FAT may hold.
std::string name_of(uint32_t number) { return "f" + std::to_string(1'000'000 + number) + ".dat"; }

Result<> measure_names(BlockQueue& lane) {
  const auto made = TRY(FatVolume::open(lane));
  const FatNode folder = TRY(made->make_directory(lane, kFatRoot, "folder")).node;
  for (uint32_t i = 0; i < kNames; i++)
    made->forget(TRY(made->create(lane, folder, name_of(i))).node);
  TRY_VOID(made->close(lane));

  const auto volume = TRY(FatVolume::open(lane, {.read_only = true}));
  const FatNode again = TRY(volume->lookup(lane, kFatRoot, "folder")).node;
  const Stopwatch first;
  volume->forget(TRY(volume->lookup(lane, again, name_of(kNames - 1))).node);
  const double first_us = first.us();
  std::mt19937 random(1);
  std::vector<std::string> names;
  for (uint32_t i = 0; i < kNames; i++)
    names.push_back(name_of(static_cast<uint32_t>(random() % kNames)));
  const Stopwatch rest;
  for (const std::string& name : names) volume->forget(TRY(volume->lookup(lane, again, name)).node);
  std::printf("{\"first_us\": %.1f, \"lookup_us\": %.3f}\n", first_us, rest.us() / kNames);
  return {};
}

Result<> measure(const std::string& work, const std::string& path) {
  const auto disk = TRY(RawImage::open(path, {}));
  const auto lane = TRY(disk->open_queue({}));
  TRY_VOID(format_fat(*lane, {.type = FatType::kFat32, .cluster_bytes = kReadBytes}));
  if (work == "stream") return measure_streams(*lane);
  return work == "reads" ? measure_reads(*lane) : measure_names(*lane);
}

}  // namespace

int main(int argc, char** argv) {
  const std::string work = argc == 3 ? argv[1] : "";
  if (work != "reads" && work != "stream" && work != "names") {
    std::fprintf(stderr, "usage: fat_load reads|stream|names FILE\n");
    return 2;
  }
  if (const auto done = measure(work, argv[2]); !done) {
    std::fprintf(stderr, "fat_load: %s\n", done.error().what.c_str());
    return 1;
  }
  return 0;
}
