// The way back of a backup (backup.h): nothing that it says is believed.
#include <algorithm>

#include "kv/digest.h"
#include "kv/key.h"
#include "kv/tree/backup.h"
#include "kv/tree/store.h"
#include "kv/tree/tree_diff.h"

namespace splitring::kv {
namespace {

constexpr size_t kBufferBytes = size_t{128} << 10;
constexpr uint64_t kKeysOfTransaction = 1000;  // of a whole backup
constexpr uint64_t kBytesOfTransaction = uint64_t{1} << 20;

auto damaged() { return fail(Errc::kInvalid, "this is no backup of a store, or a damaged one"); }

// Bytes on their way in.
class Reader {
 public:
  explicit Reader(const Session::Source& source) : source_(source), buffer_(kBufferBytes) {}

  // kInvalid: it ends before that.
  Result<> read(std::span<std::byte> out) {
    TRY_VOID(read_raw(out));
    digest_.add(out);
    return {};
  }
  template <class T>
  Result<T> number() {
    std::byte bytes[sizeof(T)];
    TRY_VOID(read(bytes));
    return load_le<T>(bytes);
  }
  Result<std::string> text(size_t most) {
    const size_t count = TRY(number<uint16_t>());
    if (count > most) return damaged();
    std::string text(count, '\0');
    TRY_VOID(read(std::as_writable_bytes(std::span(text))));
    return text;
  }
  // Whether what follows is the digest of all before it.
  Result<> check_digest() {
    const Digest expected = digest_.finish();
    Digest found;
    TRY_VOID(read_raw(found));
    return found == expected ? Result<>() : damaged();
  }
  [[nodiscard]] uint64_t bytes() const { return bytes_; }

 private:
  Result<> read_raw(std::span<std::byte> out) {
    bytes_ += out.size();
    while (!out.empty()) {
      if (at_ == end_) {
        at_ = 0;
        end_ = TRY(source_(buffer_));
        if (end_ == 0 || end_ > buffer_.size()) return damaged();
      }
      const size_t count = std::min(out.size(), end_ - at_);
      std::memcpy(out.data(), buffer_.data() + at_, count);
      out = out.subspan(count);
      at_ += count;
    }
    return {};
  }

  const Session::Source& source_;
  std::vector<std::byte> buffer_;
  size_t at_ = 0;
  size_t end_ = 0;
  uint64_t bytes_ = 0;
  DigestBuilder digest_;
};

// Takes frames in until the end, or until a transaction is long enough.
class Frames {
 public:
  Frames(Session& session, Reader& reader, BackupInfo& info)
      : session_(session), reader_(reader), info_(info) {}

  // True: there is more to come.
  Result<bool> take_in(Transaction& tx, bool whole) {
    uint64_t keys = 0;
    uint64_t bytes = 0;
    if (!name_.empty()) tree_ = TRY(tx.create_tree(name_));
    while (!whole || (keys < kKeysOfTransaction && bytes < kBytesOfTransaction)) {
      const uint64_t before = reader_.bytes();
      const char kind = static_cast<char>(TRY(reader_.number<uint8_t>()));
      if (kind == 'e') {
        TRY_VOID(reader_.check_digest());
        return false;
      }
      TRY_VOID(take_one(tx, kind));
      keys++;
      bytes += reader_.bytes() - before;
    }
    return true;
  }

 private:
  Result<> take_one(Transaction& tx, char kind) {
    const std::string text = TRY(reader_.text(kMaxUserKeyBytes));
    if (kind == 't') {
      name_ = text;
      tree_ = TRY(tx.create_tree(name_));
      return {};
    }
    if (kind == 'x') {
      const Result<> removed = tx.remove_tree(text);
      return removed || removed.error().code == Errc::kNotFound ? Result<>() : removed;
    }
    if (kind == 'r') {
      info_.removed++;
      return tx.remove(tree_, text);
    }
    if (kind != 'p') return damaged();
    info_.keys++;
    const bool has_time = TRY(reader_.number<uint8_t>()) != 0;
    const auto time = static_cast<int64_t>(TRY(reader_.number<uint64_t>()));
    const std::optional<int64_t> modified = has_time ? std::optional(time) : std::nullopt;
    uint64_t left = TRY(reader_.number<uint64_t>());
    if (left <= kMaxInlineBytes) {
      std::string value(left, '\0');
      TRY_VOID(reader_.read(std::as_writable_bytes(std::span(value))));
      return tx.put(tree_, text, value, modified);
    }
    StagedValue staged = TRY(session_.stage([&](std::span<std::byte> out) -> Result<size_t> {
      const size_t count = std::min<uint64_t>(out.size(), left);
      TRY_VOID(reader_.read(out.first(count)));
      left -= count;
      return count;
    }));
    return tx.put_staged(tree_, text, std::move(staged), modified);
  }

  Session& session_;
  Reader& reader_;
  BackupInfo& info_;
  std::string name_;
  TreeId tree_ = kDefaultTree;
};

Result<> must_fit(Session& session, Transaction& tx, const std::string& base) {
  if (!base.empty()) return session.must_be_as_in(base);
  for (const TreeName& each : TRY(tx.trees()))
    if (TRY(tx.cursor(each.tree).first()))
      return fail(Errc::kExists, "there are keys already: a whole backup needs an empty store");
  return {};
}

}  // namespace

Result<BackupInfo> restore(Session& session, const Session::Source& source) {
  Reader reader(source);
  std::string magic(kBackupMagic.size(), '\0');
  TRY_VOID(reader.read(std::as_writable_bytes(std::span(magic))));
  if (magic != kBackupMagic) return damaged();
  if (TRY(reader.number<uint32_t>()) != 1)
    return fail(Errc::kUnsupported, "the backup was made by a later version of this program");
  TRY(reader.number<uint32_t>());
  BackupInfo info;
  info.snapshot = TRY(reader.text(255));
  info.base = TRY(reader.text(255));
  // What was written since the base would go unnoticed in memory.
  if (!info.base.empty()) TRY_VOID(session.checkpoint());
  Frames frames(session, reader, info);
  bool first = true;
  bool more = true;
  while (more) {
    TRY_VOID(session.with_tx([&](Transaction& tx) -> Result<> {
      if (first) TRY_VOID(must_fit(session, tx, info.base));
      first = false;
      more = TRY(frames.take_in(tx, info.base.empty()));
      return {};
    }));
  }
  info.bytes = reader.bytes();
  TRY_VOID(session.create_snapshot(info.snapshot));
  return info;
}

}  // namespace splitring::kv
