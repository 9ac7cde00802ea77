#include "tools/splitring/tar_work.h"

#include <algorithm>

namespace splitring::tools {

bool is_wanted(const TarEntry& entry, const std::vector<std::string>& paths) {
  return paths.empty() || std::ranges::any_of(paths, [&](const std::string& path) {
           return path.empty() || entry.path == path ||
                  (entry.path.starts_with(path) && entry.path[path.size()] == '/');
         });
}

uint64_t data_bytes(const TarEntry& file) {
  if (file.kind != TarKind::kFile) return 0;
  if (!file.sparse) return file.size;
  uint64_t bytes = 0;
  for (const TarExtent& extent : file.extents) bytes += extent.bytes;
  return bytes;
}

void TarWorker::complain(const std::string& what) {
  tally_.complaints++;
  work_.complain(what);
}

Result<> TarWorker::read(
    const TarEntry& file,
    const std::function<Result<>(uint64_t at, std::span<const std::byte>)>& take) {
  for (uint64_t at = 0; at < file.size;) {
    const TarRun run = run_at(file, at);
    const uint64_t bytes = run.offset ? std::min<uint64_t>(run.bytes, buffer_.size()) : run.bytes;
    if (run.offset) {
      const std::span<std::byte> part = std::span(buffer_).first(bytes);
      if (const auto got = work_.tar.read(work_.lane, file, at, part); !got) {
        disk_failed_ = true;
        return fail_within(std::string(file.path), got.error());
      }
      TRY_VOID(take(at, part));
      tally_.bytes += bytes;
      work_.progress(tally_.bytes, total_bytes_);
    }
    at += bytes;
  }
  return {};
}

Result<TarTally> TarWorker::run(const std::function<Result<>(const TarEntry&)>& take) {
  for (const std::string& path : work_.paths) {
    if (!work_.tar.find(path))
      return fail(Errc::kNotFound, printable_name(path) + ": no such entry in the archive");
  }
  const auto for_each_wanted = [&](const std::function<void(const TarEntry&)>& visit) {
    work_.tar.for_each([&](const TarEntry& entry) {
      // The root is where the others go, not one of them.
      if (!entry.path.empty() && is_wanted(entry, work_.paths)) visit(entry);
    });
  };
  for_each_wanted([&](const TarEntry& entry) { total_bytes_ += data_bytes(entry); });
  Result<> broken;
  for_each_wanted([&](const TarEntry& entry) {
    if (!broken) return;
    tally_.entries++;
    auto taken = take(entry);
    if (!taken && disk_failed_)
      broken = std::move(taken);
    else if (!taken)
      complain(taken.error().what);
  });
  TRY_VOID(std::move(broken));
  return tally_;
}

}  // namespace splitring::tools
