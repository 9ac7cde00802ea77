#include "tools/splitring/fat_user.h"

#include <algorithm>

#include "base/parse.h"

namespace splitring::tools {
namespace {

// Room for smaller files is found as it is needed.
constexpr uint64_t kLargeBytes = uint64_t{1} << 20;

std::string join(const std::string& directory, const std::string& name) {
  return directory.empty() ? name : directory + "/" + name;
}

}  // namespace

std::string fat_path(std::string_view path) {
  std::string out;
  while (!path.empty()) {
    const size_t begin = std::min(path.find_first_not_of('/'), path.size());
    path.remove_prefix(begin);
    const size_t end = std::min(path.find('/'), path.size());
    if (end != 0) out.append(out.empty() ? "" : "/").append(path.substr(0, end));
    path.remove_prefix(end);
  }
  return out;
}

std::string fat_name_of(std::string_view path) {
  const std::string whole = fat_path(path);
  return whole.substr(whole.rfind('/') + 1);
}

std::string fat_parent_of(std::string_view path) {
  const std::string whole = fat_path(path);
  const size_t slash = whole.rfind('/');
  return slash == std::string::npos ? "" : whole.substr(0, slash);
}

class FatUser::Ref {
 public:
  Ref(FatVolume& volume, BlockQueue& lane, FatStat stat)
      : volume_(&volume), lane_(&lane), stat_(stat) {}
  Ref(Ref&& other) noexcept
      : volume_(std::exchange(other.volume_, nullptr)),
        lane_(other.lane_),
        stat_(other.stat_),
        open_(other.open_) {}
  Ref& operator=(Ref&&) = delete;
  ~Ref() {
    if (volume_ == nullptr) return;
    if (open_) static_cast<void>(volume_->close_file(*lane_, node()));
    volume_->forget(node());
  }
  Result<> open() {
    TRY_VOID(volume_->open_file(*lane_, node()));
    open_ = true;
    return {};
  }
  [[nodiscard]] FatNode node() const { return stat_.node; }
  [[nodiscard]] const FatStat& stat() const { return stat_; }

 private:
  FatVolume* volume_;
  BlockQueue* lane_;
  FatStat stat_;
  bool open_ = false;
};

FatUser::FatUser(FatVolume& volume, BlockQueue& lane, Progress progress)
    : volume_(volume), lane_(lane), progress_(std::move(progress)), relay_(lane) {}
FatUser::~FatUser() = default;

Result<FatUser::Ref> FatUser::resolve(const std::string& path) {
  const auto stat = volume_.resolve(lane_, path);
  if (!stat) return fail_within(path.empty() ? "/" : path, stat.error());
  return Ref(volume_, lane_, *stat);
}

Result<FatStat> FatUser::stat(const std::string& path) { return TRY(resolve(path)).stat(); }

Result<std::vector<FatEntry>> FatUser::entries(FatNode directory) {
  return volume_.list(lane_, directory, 0, SIZE_MAX);
}

Result<> FatUser::list(const std::string& path, bool recursive, const Visit& visit) {
  const std::string begin = fat_path(path);
  const Ref top = TRY(resolve(begin));
  if (!top.stat().is_directory) {
    visit(begin, {.name = fat_name_of(begin), .short_name = {}, .stat = top.stat(), .cookie = 0});
    return {};
  }
  // No recursion: a volume may be as deep as it likes.
  std::vector<std::string> todo{begin};
  while (!todo.empty()) {
    const std::string directory = std::move(todo.back());
    todo.pop_back();
    const Ref node = TRY(resolve(directory));
    std::vector<FatEntry> found = TRY(entries(node.node()));
    std::ranges::sort(found, {}, &FatEntry::name);
    const size_t first = todo.size();
    for (const FatEntry& entry : found) {
      visit(join(directory, entry.name), entry);
      if (recursive && entry.stat.is_directory) todo.push_back(join(directory, entry.name));
    }
    std::reverse(todo.begin() + static_cast<std::ptrdiff_t>(first), todo.end());
  }
  return {};
}

Result<uint64_t> FatUser::bytes_below(const std::string& path) {
  uint64_t total = 0;
  TRY_VOID(list(path, true, [&](const std::string&, const FatEntry& entry) {
    if (!entry.stat.is_directory) total += entry.stat.size;
  }));
  return total;
}

void FatUser::moved(size_t bytes) {
  tally_.bytes += bytes;
  if (progress_) progress_(bytes);
}

Result<> FatUser::read(const std::string& path, const BufferRelay::Target& take) {
  Ref file = TRY(resolve(fat_path(path)));
  if (const auto opened = file.open(); !opened) return fail_within(path, opened.error());
  uint64_t offset = 0;
  const auto source = [&](std::span<std::byte> out) -> Result<size_t> {
    const auto got = volume_.read(lane_, file.node(), offset, out);
    if (!got) return fail_within(path, got.error());
    offset += *got;
    moved(*got);
    return *got;
  };
  return relay_.run(source, take, BufferRelay::Beside::kTarget);
}

Result<FatNode> FatUser::directory_of(const std::string& path) {
  std::string directory = fat_parent_of(path);
  if (directory_ == nullptr || directory_path_ != directory) {
    directory_.reset();
    Ref found = TRY(resolve(directory));
    directory_ = std::make_unique<Ref>(std::move(found));
    directory_path_ = std::move(directory);
  }
  return directory_->node();
}

Result<FatUser::Ref> FatUser::open(const std::string& path) {
  Ref file = TRY(resolve(path));
  if (const auto opened = file.open(); !opened) return fail_within(path, opened.error());
  return file;
}

struct FatUser::Made {
  Ref file;  // open
  bool is_new = false;
};

// In place of what the file has.
Result<> FatUser::check_room(const FatStat& existing, uint64_t bytes) const {
  if (bytes > volume_.max_file_bytes())
    return fail(Errc::kLimit, "a file of " + std::to_string(bytes) +
                                  " bytes; here it has at most " +
                                  std::to_string(volume_.max_file_bytes()));
  const FatSpace space = volume_.space();
  const uint64_t room = space.free_clusters * space.cluster_bytes + existing.allocated_bytes;
  if (bytes <= room) return {};
  return fail(Errc::kNoSpace, "the volume is full: it has room for " + format_bytes(room) +
                                  " of the " + format_bytes(bytes));
}

Result<FatUser::Made> FatUser::make(const std::string& path) {
  const FatNode directory = TRY(directory_of(path));
  const std::string name = fat_name_of(path);
  auto stat = volume_.create(lane_, directory, name);
  const bool exists = !stat && stat.error().code == Errc::kExists;
  if (exists) stat = volume_.lookup(lane_, directory, name);
  if (!stat) return fail_within(path, stat.error());
  Made made{Ref(volume_, lane_, *stat), !exists};
  if (const auto opened = made.file.open(); !opened) return fail_within(path, opened.error());
  return made;
}

Result<> FatUser::write(const std::string& path, const BufferRelay::Source& source,
                        const Incoming& incoming) {
  const std::string whole = fat_path(path);
  const Made made = TRY(make(whole));
  const FatNode node = made.file.node();
  if (made.file.stat().flags.read_only)
    return fail(Errc::kPermission,
                whole + " is marked as read-only: `attr` with -r takes the mark away");
  uint64_t offset = 0;
  const auto target = [&](std::span<const std::byte> bytes) -> Result<> {
    TRY_VOID(volume_.write(lane_, node, offset, bytes));
    offset += bytes.size();
    moved(bytes.size());
    return {};
  };
  const auto work = [&]() -> Result<> {
    TRY_VOID(check_room(made.file.stat(), incoming.bytes));
    if (!made.is_new) TRY_VOID(volume_.truncate(lane_, node, 0));
    if (incoming.bytes > kLargeBytes) TRY_VOID(volume_.preallocate(lane_, node, incoming.bytes));
    TRY_VOID(relay_.run(source, target, incoming.beside));
    if (!incoming.modified && !incoming.flags) return {};
    return volume_.change(lane_, node, {.flags = incoming.flags, .modified = incoming.modified});
  };
  if (const auto done = work(); !done) {
    if (made.is_new)
      static_cast<void>(volume_.remove_file(lane_, TRY(directory_of(whole)), fat_name_of(whole)));
    return fail_within(whole, done.error());
  }
  tally_.files++;
  return {};
}

Result<> FatUser::make_directory(const std::string& path, bool with_parents) {
  const std::string whole = fat_path(path);
  if (with_parents) {
    if (const auto there = volume_.resolve(lane_, whole)) {
      volume_.forget(there->node);
      return there->is_directory ? Result<>{} : fail(Errc::kExists, whole + " is a file");
    }
    if (whole.find('/') != std::string::npos) TRY_VOID(make_directory(fat_parent_of(whole), true));
  }
  const Ref parent = TRY(resolve(fat_parent_of(whole)));
  const auto made = volume_.make_directory(lane_, parent.node(), fat_name_of(whole));
  if (!made) return fail_within(whole, made.error());
  volume_.forget(made->node);
  tally_.directories++;
  return {};
}

Result<> FatUser::remove(const std::string& path, bool recursive) {
  const std::string whole = fat_path(path);
  if (whole.empty()) return fail(Errc::kInvalid, "the root cannot be removed");
  directory_.reset();
  std::vector<std::string> directories;
  {
    const Ref top = TRY(resolve(whole));
    if (top.stat().is_directory) directories.push_back(whole);
  }
  const auto remove_file = [&](const std::string& file) -> Result<> {
    const Ref parent = TRY(resolve(fat_parent_of(file)));
    const auto done = volume_.remove_file(lane_, parent.node(), fat_name_of(file));
    if (!done) return fail_within(file, done.error());
    tally_.files++;
    return {};
  };
  if (directories.empty()) return remove_file(whole);
  std::vector<std::string> files;
  if (recursive) {
    TRY_VOID(list(whole, true, [&](const std::string& below, const FatEntry& entry) {
      (entry.stat.is_directory ? directories : files).push_back(below);
    }));
  }
  for (const std::string& file : files) TRY_VOID(remove_file(file));
  for (; !directories.empty(); directories.pop_back()) {
    const Ref parent = TRY(resolve(fat_parent_of(directories.back())));
    const auto done =
        volume_.remove_directory(lane_, parent.node(), fat_name_of(directories.back()));
    if (!done) return fail_within(directories.back(), done.error());
    tally_.directories++;
  }
  return {};
}

// Where something goes that is given a target: into it, if that is a directory.
Result<std::string> FatUser::target_of(const std::string& from_name, const std::string& to) {
  const std::string whole = fat_path(to);
  const auto there = volume_.resolve(lane_, whole);
  if (!there) return whole;
  volume_.forget(there->node);
  return there->is_directory ? join(whole, from_name) : whole;
}

Result<> FatUser::move(const std::string& from, const std::string& to) {
  directory_.reset();
  const std::string source = fat_path(from);
  const std::string target = TRY(target_of(fat_name_of(source), to));
  const Ref from_parent = TRY(resolve(fat_parent_of(source)));
  const Ref to_parent = TRY(resolve(fat_parent_of(target)));
  return volume_.rename(lane_, from_parent.node(), fat_name_of(source), to_parent.node(),
                        fat_name_of(target));
}

Result<> FatUser::copy(const std::string& from, const std::string& to) {
  const std::string source = fat_path(from);
  const FatStat stat = TRY(this->stat(source));
  const std::string target = TRY(target_of(fat_name_of(source), to));
  if (!stat.is_directory) {
    Ref file = TRY(open(source));
    // One file answers to many spellings.
    if (const auto there = volume_.resolve(lane_, target)) {
      volume_.forget(there->node);
      if (there->node == file.node())
        return fail(Errc::kInvalid, source + " and " + target + " are the same file");
    }
    uint64_t offset = 0;
    return write(target,
                 [&](std::span<std::byte> out) -> Result<size_t> {
                   const size_t got = TRY(volume_.read(lane_, file.node(), offset, out));
                   offset += got;
                   return got;
                 },
                 {.bytes = stat.size, .modified = stat.modified, .flags = stat.flags});
  }
  if (target == source || target.starts_with(source + "/"))
    return fail(Errc::kInvalid, source + " cannot be copied into itself");
  TRY_VOID(make_directory(target, true));
  std::vector<std::pair<std::string, bool>> below;
  TRY_VOID(list(source, true, [&](const std::string& path, const FatEntry& entry) {
    below.emplace_back(path, entry.stat.is_directory);
  }));
  for (const auto& [path, is_directory] : below) {
    const std::string there = target + path.substr(source.size());
    TRY_VOID(is_directory ? make_directory(there, true) : copy(path, there));
  }
  return {};
}

Result<> FatUser::touch(const std::string& path, const FatTime& time) {
  const std::string whole = fat_path(path);
  auto stat = volume_.resolve(lane_, whole);
  if (!stat && stat.error().code == Errc::kNotFound) {
    const Ref parent = TRY(resolve(fat_parent_of(whole)));
    stat = volume_.create(lane_, parent.node(), fat_name_of(whole));
  }
  if (!stat) return fail_within(whole, stat.error());
  const Ref file(volume_, lane_, *stat);
  return volume_.change(lane_, file.node(), {.modified = time, .accessed = time});
}

Result<> FatUser::change_marks(const std::string& path, const FatMarkChange& change,
                               bool recursive) {
  const std::string whole = fat_path(path);
  const Ref top = TRY(resolve(whole));
  std::vector<std::string> paths;
  // The root has no entry that could have marks.
  if (!whole.empty() || !recursive) paths.push_back(whole);
  if (recursive && top.stat().is_directory)
    TRY_VOID(list(whole, true,
                  [&](const std::string& below, const FatEntry&) { paths.push_back(below); }));
  for (const std::string& each : paths) {
    const Ref node = TRY(resolve(each));
    const auto changed =
        volume_.change(lane_, node.node(), {.flags = change.of(node.stat().flags)});
    if (!changed) return fail_within(each.empty() ? "/" : each, changed.error());
  }
  return {};
}

}  // namespace splitring::tools
