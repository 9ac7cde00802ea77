#include "kv/fat_store.h"

#include <algorithm>
#include <array>
#include <atomic>

#include "base/parse.h"
#include "fs/fat/fat_name.h"
#include "kv/key.h"

namespace splitring::kv {
namespace {

constexpr size_t kBufferBytes = size_t{1} << 20;
constexpr std::string_view kAside = "%aside-";  // no key is spelled so

// The next one's number: each is given once by this process, whose the volume is alone.
std::atomic<uint64_t> next_aside{0};
constexpr uint64_t kMostAsides = uint64_t{1} << 62;

constexpr std::string_view kHex = "0123456789ABCDEF";

// How many bytes in front make a character that may stand in a name of FAT; 0: the first does not.
size_t legal_bytes(std::string_view text) {
  constexpr std::string_view kForbidden = "\"*:<>?\\|%";
  const auto first = static_cast<uint8_t>(text[0]);
  if (first < 0x80)
    return first >= 0x20 && first != 0x7f && kForbidden.find(text[0]) == std::string_view::npos;
  for (size_t bytes = 2; bytes <= std::min<size_t>(4, text.size()); bytes++)
    if (fat_utf16(text.substr(0, bytes))) return bytes;
  return 0;
}

// Of one component.
std::string spelled(std::string_view component) {
  std::string name;
  // FAT drops spaces and dots at the end.
  const size_t last = component.find_last_not_of(" .");
  for (size_t at = 0; at < component.size();) {
    const bool is_dropped = last == std::string_view::npos || at > last;
    const size_t bytes = is_dropped ? 0 : legal_bytes(component.substr(at));
    if (bytes == 0) {
      const auto byte = static_cast<uint8_t>(component[at]);
      name.append({'%', kHex[byte >> 4], kHex[byte & 15]});
    }
    name.append(component.substr(at, bytes));
    at += std::max<size_t>(bytes, 1);
  }
  return name;
}

// Nothing: it spells no key.
std::optional<std::string> read_name(std::string_view name) {
  std::string component;
  for (size_t at = 0; at < name.size(); at++) {
    if (name[at] != '%') {
      component.push_back(name[at]);
      continue;
    }
    if (at + 2 >= name.size()) return std::nullopt;
    const size_t high = kHex.find(name[at + 1]);
    const size_t low = kHex.find(name[at + 2]);
    if (high == std::string_view::npos || low == std::string_view::npos) return std::nullopt;
    component.push_back(static_cast<char>(high << 4 | low));
    at += 2;
  }
  if (!is_key_component(component) || spelled(component) != name) return std::nullopt;
  return component;
}

std::string_view parent_key(std::string_view key) {
  const size_t slash = key.rfind('/');
  return slash == std::string_view::npos ? std::string_view() : key.substr(0, slash);
}

std::string last_name(std::string_view key) { return spelled(key.substr(key.rfind('/') + 1)); }

Entry entry_of(const FatStat& stat) {
  if (stat.is_directory) return {.kind = Kind::kDictionary, .modified_s = stat.modified.s};
  return {.kind = Kind::kValue, .size = stat.size, .modified_s = stat.modified.s};
}

std::span<const std::byte> bytes_of(std::string_view text) {
  return std::as_bytes(std::span(text));
}

}  // namespace

class FatStore::Held {
 public:
  Held(FatVolume& volume, const FatStat& stat) : volume_(&volume), stat_(stat) {}
  Held(Held&& other) noexcept
      : volume_(std::exchange(other.volume_, nullptr)), stat_(other.stat_) {}
  Held& operator=(Held&& other) noexcept {
    std::swap(volume_, other.volume_);
    std::swap(stat_, other.stat_);
    return *this;
  }
  ~Held() {
    if (volume_ != nullptr) volume_->forget(node());
  }
  [[nodiscard]] FatNode node() const { return stat_.node; }
  [[nodiscard]] const FatStat& stat() const { return stat_; }

 private:
  FatVolume* volume_;
  FatStat stat_;
};

class FatStore::FatValue final : public Value {
 public:
  FatValue(FatVolume& volume, BlockQueue& lane, Held file)
      : Value(file.stat().size), volume_(volume), lane_(lane), file_(std::move(file)) {}
  ~FatValue() override { static_cast<void>(volume_.close_file(lane_, file_.node())); }

  [[nodiscard]] Piece locate(uint64_t /*offset*/) const override { return Elsewhere{}; }

 private:
  Result<> do_read(uint64_t offset, std::span<std::byte> out) override {
    if (TRY(volume_.read(lane_, file_.node(), offset, out)) == out.size()) return {};
    return fail(Errc::kIo, "the file has become shorter");
  }
  [[nodiscard]] BlockQueue* lane() const override { return &lane_; }

  FatVolume& volume_;
  BlockQueue& lane_;
  Held file_;
};

// ---- opening

Result<std::unique_ptr<FatStore>> FatStore::open(FatVolume& volume, BlockQueue& lane,
                                                 FatNode root) {
  std::unique_ptr<FatStore> store(new FatStore(volume, lane, root));
  if (!volume.read_only()) TRY_VOID(store->clear_unfinished());
  return store;
}

// What a store of this process works with and was listed has a number that was given before that.
// The others are raised above every number that goes, so that no new one is taken for it.
Result<> FatStore::clear_unfinished() {
  std::vector<std::pair<uint64_t, FatEntry>> found;
  for (FatEntry& entry : TRY(volume_.list(lane_, root_, 0, SIZE_MAX))) {
    if (!entry.name.starts_with(kAside)) continue;
    const auto number = parse_decimal(entry.name.substr(kAside.size()), kMostAsides);
    if (number) found.emplace_back(*number, std::move(entry));
  }
  const uint64_t given = next_aside;
  std::erase_if(found, [&](const auto& aside) { return aside.first < given; });
  for (const auto& [number, entry] : found)
    for (uint64_t next = next_aside; next <= number;)
      if (next_aside.compare_exchange_weak(next, number + 1)) break;
  for (const auto& [number, entry] : found) {
    const auto removed = entry.stat.is_directory ? remove_tree(root_, entry.name)
                                                 : volume_.remove_file(lane_, root_, entry.name);
    // Another store may have been quicker.
    if (!removed && removed.error().code != Errc::kNotFound) return removed;
  }
  return found.empty() ? Result<>{} : volume_.sync(lane_);
}

// ---- reading

Result<> FatStore::may_look() const {
  if (staged_ == nullptr || !*staged_) return {};
  return fail(Errc::kUnsupported, "a transaction on FAT ends with its first change");
}

Result<FatStore::Held> FatStore::find_node(std::string_view key) {
  Held at(volume_, TRY(volume_.lookup(lane_, root_, ".")));
  while (!key.empty()) {
    const size_t end = std::min(key.find('/'), key.size());
    if (!at.stat().is_directory) return fail(Errc::kNotFound, "a value holds no keys");
    at = Held(volume_, TRY(volume_.lookup(lane_, at.node(), spelled(key.substr(0, end)))));
    key.remove_prefix(std::min(end + 1, key.size()));
  }
  return at;
}

Result<std::optional<Entry>> FatStore::do_find(const std::string& key) {
  TRY_VOID(may_look());
  const auto found = find_node(key);
  if (found) return std::optional(entry_of(found->stat()));
  // A name that is too long for FAT is not there either.
  const Errc code = found.error().code;
  if (code == Errc::kNotFound || code == Errc::kLimit) return std::optional<Entry>();
  return tl::make_unexpected(found.error());
}

Result<std::vector<Child>> FatStore::do_list(const std::string& key) {
  TRY_VOID(may_look());
  const Held directory = TRY(find_node(key));
  std::vector<Child> children;
  for (const FatEntry& entry : TRY(volume_.list(lane_, directory.node(), 0, SIZE_MAX)))
    if (auto name = read_name(entry.name))
      children.push_back({std::move(*name), entry_of(entry.stat)});
  return children;
}

Result<std::unique_ptr<Value>> FatStore::do_open(const std::string& key) {
  TRY_VOID(may_look());
  Held file = TRY(find_node(key));
  TRY_VOID(volume_.open_file(lane_, file.node()));
  return std::unique_ptr<Value>(std::make_unique<FatValue>(volume_, lane_, std::move(file)));
}

// ---- changing

Result<> FatStore::stage(Change change) {
  TRY_VOID(may_look());
  *staged_ = std::move(change);
  return {};
}

Result<> FatStore::do_with_tx(const Body& body) {
  Change staged;
  FatStore inside(*this, staged);
  TRY_VOID(body(inside));
  if (!staged) return {};
  TRY_VOID(staged());
  return volume_.sync(lane_);
}

Result<FatStore::Held> FatStore::parent_of(const std::string& key) {
  Held at = TRY(find_node(""));
  std::string_view rest = parent_key(key);
  while (!rest.empty()) {
    const size_t end = std::min(rest.find('/'), rest.size());
    const std::string name = spelled(rest.substr(0, end));
    rest.remove_prefix(std::min(end + 1, rest.size()));
    auto next = volume_.lookup(lane_, at.node(), name);
    if (!next && next.error().code == Errc::kNotFound) {
      next = volume_.make_directory(lane_, at.node(), name);
      if (next) TRY_VOID(volume_.change(lane_, next->node, {.flags = FatFlags{.archive = true}}));
    }
    at = Held(volume_, TRY(std::move(next)));
  }
  return at;
}

Result<std::string> FatStore::write_aside(const Fill& fill) {
  Result<FatStat> made = fail(Errc::kExists, "");
  std::string name;
  while (!made && made.error().code == Errc::kExists) {
    name = std::string(kAside) + std::to_string(next_aside++);
    made = volume_.create(lane_, root_, name);
  }
  const Held file(volume_, TRY(std::move(made)));
  TRY_VOID(volume_.open_file(lane_, file.node()));
  auto done = fill(file.node());
  const auto closed = volume_.close_file(lane_, file.node());
  if (done) done = closed;
  if (done) done = volume_.sync(lane_);
  if (done) return name;
  static_cast<void>(volume_.remove_file(lane_, root_, name));
  return tl::make_unexpected(done.error());
}

Result<> FatStore::put_in_place(const std::string& aside, const std::string& key) {
  const auto work = [&]() -> Result<> {
    const Held parent = TRY(parent_of(key));
    return volume_.rename(lane_, root_, aside, parent.node(), last_name(key));
  };
  const auto done = work();
  if (!done) {
    static_cast<void>(volume_.remove_file(lane_, root_, aside));
    prune(key);
  }
  return done;
}

// Dictionaries above a key that came with a value, and hold none any more.
void FatStore::prune(const std::string& key) {
  for (std::string_view above = parent_key(key); !above.empty(); above = parent_key(above)) {
    const auto directory = find_node(above);
    if (!directory || !directory->stat().flags.archive) return;
    const auto parent = find_node(parent_key(above));
    // One that holds something refuses.
    if (!parent || !volume_.remove_directory(lane_, parent->node(), last_name(above))) return;
  }
}

Result<> FatStore::do_write(const std::string& key, std::string_view value) {
  return stage([this, key, value]() -> Result<> {
    const std::string aside = TRY(
        write_aside([&](FatNode file) { return volume_.write(lane_, file, 0, bytes_of(value)); }));
    return put_in_place(aside, key);
  });
}

Result<> FatStore::do_write_stream(const std::string& key, const Source& next, const Check& check) {
  const std::string aside = TRY(write_aside([&](FatNode file) -> Result<> {
    std::vector<std::byte> buffer(kBufferBytes);
    while (true) {
      const size_t count = TRY(next(buffer));
      if (count == 0) return {};
      TRY(volume_.append(lane_, file, std::span(buffer).first(count)));
    }
  }));
  Change none;
  FatStore inside(*this, none);
  if (const auto allowed = check(inside); !allowed) {
    static_cast<void>(volume_.remove_file(lane_, root_, aside));
    return allowed;
  }
  TRY_VOID(put_in_place(aside, key));
  return volume_.sync(lane_);
}

Result<> FatStore::do_set_partial(const std::string& key, uint64_t offset, std::string_view bytes) {
  return stage([this, key, offset, bytes]() -> Result<> {
    const auto old = TRY(FatStore(volume_, lane_, root_).open(key));
    const std::string aside = TRY(write_aside([&](FatNode file) -> Result<> {
      std::vector<std::byte> buffer(kBufferBytes);
      for (uint64_t at = 0; at < old->size();) {
        const size_t count = TRY(old->read(at, buffer));
        TRY_VOID(volume_.write(lane_, file, at, std::span(buffer).first(count)));
        at += count;
      }
      return volume_.write(lane_, file, offset, bytes_of(bytes));
    }));
    return put_in_place(aside, key);
  });
}

Result<> FatStore::do_allocate(const std::string& key, uint64_t size) {
  return stage([this, key, size]() -> Result<> {
    const std::string aside =
        TRY(write_aside([&](FatNode file) { return volume_.truncate(lane_, file, size); }));
    return put_in_place(aside, key);
  });
}

Result<> FatStore::do_make_dictionary(const std::string& key) {
  return stage([this, key]() -> Result<> {
    const Held parent = TRY(parent_of(key));
    const Held made(volume_, TRY(volume_.make_directory(lane_, parent.node(), last_name(key))));
    return {};
  });
}

Result<> FatStore::do_rename(const std::string& from, const std::string& to, Kind /*kind*/) {
  return stage([this, from, to]() -> Result<> {
    {
      const Held old_parent = TRY(find_node(parent_key(from)));
      const Held new_parent = TRY(parent_of(to));
      TRY_VOID(volume_.rename(lane_, old_parent.node(), last_name(from), new_parent.node(),
                              last_name(to)));
    }
    prune(from);
    return {};
  });
}

// No recursion: a volume may be as deep as it likes.
Result<> FatStore::remove_tree(FatNode directory, const std::string& name) {
  std::vector<Held> open;
  std::vector<std::string> names{name};
  open.emplace_back(volume_, TRY(volume_.lookup(lane_, directory, name)));
  while (!open.empty()) {
    const FatNode top = open.back().node();
    const auto entries = TRY(volume_.list(lane_, top, 0, 1));
    if (entries.empty()) {
      open.pop_back();
      const FatNode above = open.empty() ? directory : open.back().node();
      TRY_VOID(volume_.remove_directory(lane_, above, names.back()));
      names.pop_back();
    } else if (entries[0].stat.is_directory) {
      names.push_back(entries[0].name);
      open.emplace_back(volume_, TRY(volume_.lookup(lane_, top, names.back())));
    } else {
      TRY_VOID(volume_.remove_file(lane_, top, entries[0].name));
    }
  }
  return {};
}

Result<> FatStore::do_remove(const std::string& key, Kind kind) {
  return stage([this, key, kind]() -> Result<> {
    if (key.empty()) return fail(Errc::kInvalid, "the root cannot be removed");
    {
      const Held parent = TRY(find_node(parent_key(key)));
      if (kind == Kind::kValue) {
        TRY_VOID(volume_.remove_file(lane_, parent.node(), last_name(key)));
      } else {
        // All of it goes at once, and then its clusters.
        const std::string aside = TRY(write_aside([](FatNode) { return Result<>{}; }));
        TRY_VOID(volume_.remove_file(lane_, root_, aside));
        TRY_VOID(volume_.rename(lane_, parent.node(), last_name(key), root_, aside));
        TRY_VOID(remove_tree(root_, aside));
      }
    }
    prune(key);
    return {};
  });
}

}  // namespace splitring::kv
