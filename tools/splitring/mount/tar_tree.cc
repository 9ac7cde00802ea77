#include "tools/splitring/mount/tar_tree.h"

#include <unistd.h>

#include <algorithm>

namespace splitring::tools {
namespace {

constexpr size_t kMostNameBytes = 255;  // NAME_MAX
constexpr double kForever = 1e9;        // seconds: the archive does not change

bool can_be_a_name(std::string_view name) {
  return !name.empty() && name.size() <= kMostNameBytes && name != "." && name != ".." &&
         name.find('\0') == std::string_view::npos;
}

mode_t type_bits(TarKind kind) {
  switch (kind) {
    case TarKind::kDirectory: return S_IFDIR;
    case TarKind::kSymlink: return S_IFLNK;
    default: return S_IFREG;
  }
}

// What the disk holds of a file: its holes take no room.
uint64_t stored_bytes(const TarEntry& entry) {
  if (!entry.sparse) return entry.size;
  uint64_t bytes = 0;
  for (const TarExtent& extent : entry.extents) bytes += extent.bytes;
  return bytes;
}

}  // namespace

TarTree::TarTree(std::unique_ptr<TarFileSystem> files, MountOptions options, uint64_t disk_bytes,
                 Complaints& complaints)
    : files_(std::move(files)),
      options_(std::move(options)),
      disk_bytes_(disk_bytes),
      complaints_(complaints) {
  find_parents();
  gather_children();
  join_hard_links();
  if (left_out_ != 0)
    complaints_.say(std::to_string(left_out_) +
                    " entries are not shown: devices, pipes, links to nothing, impossible names");
}

bool TarTree::is_shown(const TarEntry& entry) const {
  return entry.kind != TarKind::kSpecial && entry.kind != TarKind::kHardLink &&
         can_be_a_name(entry.base_name());
}

// A parent is numbered before its children, and neighbours in an archive mostly share theirs.
void TarTree::find_parents() {
  parents_.resize(files_->entry_count());
  TarEntry last = files_->entry(0);
  for (Number number = 1; number < parents_.size(); number++) {
    const std::string_view path = files_->entry(number).path;
    const size_t slash = path.rfind('/');
    const std::string_view parent = path.substr(0, slash == std::string_view::npos ? 0 : slash);
    if (parent != last.path) last = files_->find(parent).value_or(files_->entry(0));
    parents_[number] = last.number;
  }
}

void TarTree::gather_children() {
  const Number count = files_->entry_count();
  child_begin_.assign(count + 1, 0);
  names_.assign(count, 1);
  std::vector<bool> shown(count);
  for (Number number = 0; number < count; number++) {
    const TarEntry entry = files_->entry(number);
    if (entry.kind == TarKind::kDirectory) names_[number]++;  // its own "."
    if (number == 0) continue;
    const TarEntry parent = files_->entry(parents_[number]);
    if (parent.kind == TarKind::kDirectory) shown[number] = is_shown(entry);
    if (!shown[number]) {
      left_out_++;
      continue;
    }
    child_begin_[parent.number + 1]++;
    if (entry.kind == TarKind::kDirectory) names_[parent.number]++;
    if (parent.implied && !entry.implied) {
      Time& newest = newest_[parent.number];
      newest = std::max(newest, Time{entry.mtime_s, entry.mtime_ns});
    }
  }
  for (Number number = 0; number < count; number++)
    child_begin_[number + 1] += child_begin_[number];
  children_.resize(child_begin_[count]);
  std::vector<uint32_t> next(child_begin_.begin(), child_begin_.end() - 1);
  for (Number number = 1; number < count; number++) {
    if (shown[number]) children_[next[parents_[number]]++] = number;
  }
}

// All names of one body, which lies where no other's does.
void TarTree::join_hard_links() {
  struct Body {
    std::optional<Number> first;
    uint32_t names = 0;
  };
  std::unordered_map<uint64_t, Body> bodies;
  const Number count = files_->entry_count();
  for (Number number = 1; number < count; number++) {
    const TarEntry entry = files_->entry(number);
    if (entry.is_hard_link && is_shown(entry)) bodies.try_emplace(entry.offset);
  }
  if (bodies.empty()) return;
  const auto body_of = [&](const TarEntry& entry) -> Body* {
    if (entry.kind == TarKind::kDirectory || !is_shown(entry)) return nullptr;
    const auto found = bodies.find(entry.offset);
    return found == bodies.end() ? nullptr : &found->second;
  };
  for (Number number = 1; number < count; number++) {
    Body* body = body_of(files_->entry(number));
    if (body == nullptr) continue;
    body->names++;
    if (body->first)
      first_names_.emplace(number, *body->first);
    else
      body->first = number;
  }
  for (const auto& [offset, body] : bodies) {
    if (body.first) names_[*body.first] = body.names;
  }
}

TarTree::Number TarTree::first_name(Number number) const {
  const auto found = first_names_.find(number);
  return found == first_names_.end() ? number : found->second;
}

Caching TarTree::caching() const {
  return {.names_s = kForever,
          .folders_s = kForever,
          .absence_s = kForever,
          .status_s = kForever,
          .keeps_listings = true,
          .counts_opens = false};
}

Answer<TarEntry> TarTree::entry_of(Node node) const {
  if (node == 0 || node > parents_.size()) return refuse(ESTALE);
  return files_->entry(static_cast<Number>(node - 1));
}

struct stat TarTree::describe(const TarEntry& named) const {
  const Number number = first_name(named.number);
  const TarEntry entry = number == named.number ? named : files_->entry(number);
  const bool is_directory = entry.kind == TarKind::kDirectory;
  const auto mask = is_directory ? options_.directory_mask : options_.file_mask;
  struct stat status {};
  status.st_ino = number + 1;
  status.st_mode = type_bits(entry.kind);
  if (entry.kind == TarKind::kSymlink) {
    status.st_mode |= 0777;
    status.st_size = static_cast<off_t>(entry.link.size());
  } else {
    status.st_mode |= (entry.implied ? mode_t{0755} : entry.mode) & ~mask.value_or(0);
    status.st_size = static_cast<off_t>(is_directory ? 0 : entry.size);
  }
  status.st_nlink = names_[number];
  status.st_uid = options_.uid.value_or(entry.uid);
  status.st_gid = options_.gid.value_or(entry.gid);
  status.st_blksize = 1 << 17;
  status.st_blocks = static_cast<blkcnt_t>((stored_bytes(entry) + 511) / 512);
  Time time{entry.mtime_s, entry.mtime_ns};
  if (const auto newest = newest_.find(number); newest != newest_.end()) time = newest->second;
  status.st_mtim = {.tv_sec = time.s, .tv_nsec = time.ns};
  status.st_atim = status.st_ctim = status.st_mtim;
  return status;
}

Answer<struct stat> TarTree::lookup(BlockQueue& /*lane*/, Node directory, std::string_view name) {
  const TarEntry above = TRY(entry_of(directory));
  if (name == "." || name == "..")
    return describe(files_->entry(name == "." ? above.number : parents_[above.number]));
  std::string path(above.path);
  if (!path.empty()) path += '/';
  path += name;
  const auto entry = files_->find(path);
  if (!entry || !is_shown(*entry) || parents_[entry->number] != above.number) return refuse(ENOENT);
  return describe(*entry);
}

Answer<struct stat> TarTree::status(BlockQueue& /*lane*/, Node node) {
  return describe(TRY(entry_of(node)));
}

Answer<Node> TarTree::parent(Node node) { return Node{parents_[TRY(entry_of(node)).number]} + 1; }

Answer<std::vector<TreeEntry>> TarTree::list(BlockQueue& /*lane*/, Node directory, uint64_t cookie,
                                             size_t most, bool /*refer*/) {
  const Number number = TRY(entry_of(directory)).number;
  const uint64_t begin = child_begin_[number];
  const uint64_t count = child_begin_[number + 1] - begin;
  std::vector<TreeEntry> entries;
  for (uint64_t at = cookie; at < count && entries.size() < most; at++) {
    const TarEntry entry = files_->entry(children_[begin + at]);
    entries.push_back({std::string(entry.base_name()), describe(entry), at + 1});
  }
  return entries;
}

Answer<std::string> TarTree::read_link(Node node) {
  const TarEntry entry = TRY(entry_of(node));
  if (entry.kind != TarKind::kSymlink) return refuse(EINVAL);
  return std::string(entry.link);
}

Answer<size_t> TarTree::read(BlockQueue& lane, Node node, uint64_t offset,
                             std::span<std::byte> out) {
  const TarEntry entry = TRY(entry_of(node));
  const auto bytes = files_->read(lane, entry, offset, out);
  if (!bytes) return tl::unexpected(complaints_.number_of(bytes.error()));
  return *bytes;
}

Answer<uint64_t> TarTree::seek(Node node, uint64_t offset, int whence) {
  const TarEntry entry = TRY(entry_of(node));
  if (offset >= entry.size) return refuse(ENXIO);
  while (offset < entry.size) {
    const TarRun run = run_at(entry, offset);
    if (run.offset.has_value() == (whence == SEEK_DATA)) return offset;
    offset += run.bytes;
  }
  if (whence == SEEK_DATA) return refuse(ENXIO);
  return entry.size;
}

struct statvfs TarTree::space() {
  struct statvfs space {};
  space.f_bsize = space.f_frsize = 512;
  space.f_blocks = disk_bytes_ / 512;
  space.f_files = parents_.size();
  space.f_namemax = kMostNameBytes;
  return space;
}

}  // namespace splitring::tools
