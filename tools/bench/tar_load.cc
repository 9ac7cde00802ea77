// What the benchmark of archives runs, one measurement a process, as its peers run:
//   tar_load index FILE       scans the archive: what `tar -t` has to do
//   tar_load save FILE        scans it and saves the index beside it
//   tar_load open FILE        opens it by the saved index and looks one name up
//   tar_load read FILE COUNT  opens it by the saved index and reads COUNT members in a random order
// Prints {"entries": N, "us": T, "bytes": B, "peak_kib": M}; T leaves out the process's start.
#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <random>
#include <string>

#include "base/parse.h"
#include "blkimage/raw_image.h"
#include "fs/tar/tar_file_system.h"
#include "tools/bench/load_report.h"

namespace {

using namespace splitring;

struct Outcome {
  uint64_t entries = 0;
  uint64_t bytes = 0;
};

Result<std::unique_ptr<TarFileSystem>> open_saved(BlockQueue& lane, const std::string& path) {
  return TarFileSystem::open_saved(lane, saved_index_path(path), TRY(identify_image(path)));
}

Result<Outcome> read_members(BlockQueue& lane, const std::string& path,
                             const std::vector<std::string>& names) {
  const auto tar = TRY(open_saved(lane, path));
  Outcome outcome;
  std::vector<std::byte> buffer(1U << 20);
  for (const std::string& name : names) {
    const auto file = tar->find(name);
    if (!file) return fail(Errc::kNotFound, name);
    outcome.bytes += TRY(tar->read(lane, *file, 0, buffer));
    outcome.entries++;
  }
  if (!tar->intact()) return fail(Errc::kInvalid, "the saved index is damaged");
  return outcome;
}

Result<std::vector<std::string>> random_names(BlockQueue& lane, size_t count) {
  const auto tar = TRY(TarFileSystem::open(lane));
  std::vector<std::string> names;
  tar->for_each([&](const TarEntry& entry) {
    if (entry.kind == TarKind::kFile) names.emplace_back(entry.path);
  });
  std::shuffle(names.begin(), names.end(), std::mt19937(1));
  names.resize(std::min(names.size(), count));
  return names;
}

Result<Outcome> run(BlockQueue& lane, const std::string& work, const std::string& path) {
  if (work == "open") {
    const auto tar = TRY(open_saved(lane, path));
    if (tar->find("no such name")) return fail(Errc::kInvalid, "found what is not there");
    return Outcome{tar->file_count(), 0};
  }
  const ImageIdentity image = TRY(identify_settled_image(path));
  const auto tar = TRY(TarFileSystem::open(lane));
  if (work == "save") TRY_VOID(tar->save(saved_index_path(path), image));
  return Outcome{tar->file_count(), tar->file_bytes()};
}

Result<> measure(const std::string& work, const std::string& path, uint64_t count) {
  RawOptions options;
  options.read_only = true;
  const auto disk = TRY(RawImage::open(path, options));
  const auto lane = TRY(disk->open_queue({}));
  std::vector<std::string> names;
  if (work == "read") names = TRY(random_names(*lane, count));
  const auto begin = std::chrono::steady_clock::now();
  const Outcome outcome =
      TRY(work == "read" ? read_members(*lane, path, names) : run(*lane, work, path));
  const std::chrono::duration<double, std::micro> took = std::chrono::steady_clock::now() - begin;
  std::printf("{\"entries\": %llu, \"us\": %.1f, \"bytes\": %llu, \"peak_kib\": %llu}\n",
              static_cast<unsigned long long>(outcome.entries), took.count(),
              static_cast<unsigned long long>(outcome.bytes),
              static_cast<unsigned long long>(bench::peak_kib()));
  return {};
}

}  // namespace

int main(int argc, char** argv) {
  const std::string work = argc > 1 ? argv[1] : "";
  const auto count = argc > 3 ? parse_decimal(argv[3]) : 0;
  if (argc < 3 || (work == "read") != (argc == 4) || !count) {
    std::fprintf(stderr, "usage: tar_load index|save|open FILE, tar_load read FILE COUNT\n");
    return 2;
  }
  if (const auto done = measure(work, argv[2], *count); !done) {
    std::fprintf(stderr, "tar_load: %s\n", done.error().what.c_str());
    return 1;
  }
  return 0;
}
