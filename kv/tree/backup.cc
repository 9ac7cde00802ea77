#include "kv/tree/backup.h"

#include <algorithm>
#include <map>

#include "kv/digest.h"
#include "kv/key.h"
#include "kv/tree/store.h"

namespace splitring::kv {
namespace {

constexpr uint32_t kVersion = 1;
constexpr size_t kPieceBytes = size_t{128} << 10;

template <class T>
void append_le(std::string& out, T value) {
  char bytes[sizeof value];
  std::memcpy(bytes, &value, sizeof value);
  out.append(bytes, sizeof bytes);
}

void append_text(std::string& out, std::string_view text) {
  append_le(out, static_cast<uint16_t>(text.size()));
  out += text;
}

std::map<std::string, TreeId> trees_of(const std::vector<TreeName>& trees) {
  std::map<std::string, TreeId> all;
  for (const TreeName& each : trees) all[each.name] = each.tree;
  return all;
}

// Bytes on their way out.
class Writer {
 public:
  explicit Writer(const BackupSink& sink) : sink_(sink) {}
  std::string& text() { return text_; }
  Result<> send(bool all) {
    if (text_.size() < kPieceBytes && !all) return {};
    digest_.add(text_);
    bytes_ += text_.size();
    TRY_VOID(sink_(text_));
    text_.clear();
    return {};
  }
  Result<uint64_t> finish() {
    TRY_VOID(send(true));
    const Digest digest = digest_.finish();
    TRY_VOID(sink_(text_of(digest)));
    return bytes_ + digest.size();
  }

 private:
  const BackupSink& sink_;
  DigestBuilder digest_;
  std::string text_;
  uint64_t bytes_ = 0;
};

Result<> send_value(View& view, TreeId tree, std::string_view key, Writer& out) {
  const auto item = TRY(view.find(tree, key));
  if (!item) return fail(Errc::kInvalid, printable_key(key) + " is not in its snapshot");
  out.text() += 'p';
  append_text(out.text(), key);
  out.text() += item->modified_s ? '\1' : '\0';
  append_le(out.text(), item->modified_s.value_or(0));
  append_le(out.text(), item->size);
  std::string piece;
  for (uint64_t at = 0; at < item->size; at += piece.size()) {
    piece.resize(std::min<uint64_t>(kPieceBytes, item->size - at));
    TRY(view.read(tree, key, at, std::as_writable_bytes(std::span(piece))));
    out.text() += piece;
    TRY_VOID(out.send(false));
  }
  return out.send(false);
}

Result<> send_tree(Session& session, View& view, std::string_view snapshot, std::string_view base,
                   TreeId tree, Writer& out, BackupInfo& info) {
  if (base.empty()) {
    TreeCursor cursor = view.cursor(tree);
    for (bool more = TRY(cursor.first()); more; more = TRY(cursor.next())) {
      TRY_VOID(send_value(view, tree, cursor.key(), out));
      info.keys++;
    }
    return {};
  }
  return session.diff(base, snapshot, tree,
                      [&](std::string_view key, Session::Difference what) -> Result<bool> {
                        if (what == Session::Difference::kRemoved) {
                          out.text() += 'r';
                          append_text(out.text(), key);
                          TRY_VOID(out.send(false));
                          info.removed++;
                          return true;
                        }
                        TRY_VOID(send_value(view, tree, key, out));
                        info.keys++;
                        return true;
                      });
}

}  // namespace

Result<BackupInfo> backup(Session& session, std::string_view snapshot, std::string_view base,
                          const BackupSink& sink) {
  BackupInfo info{.snapshot = std::string(snapshot), .base = std::string(base)};
  View view = TRY(session.view_of_snapshot(snapshot));
  const auto trees = trees_of(TRY(view.trees()));
  std::map<std::string, TreeId> old_trees;
  if (!base.empty()) old_trees = trees_of(TRY(TRY(session.view_of_snapshot(base)).trees()));
  Writer out(sink);
  out.text() += kBackupMagic;
  append_le(out.text(), kVersion);
  append_le(out.text(), uint32_t{base.empty() ? 0U : 1U});
  append_text(out.text(), snapshot);
  append_text(out.text(), base);
  for (const auto& [name, tree] : old_trees) {
    // A tree that was removed and made again is another tree.
    const auto now = trees.find(name);
    if (now != trees.end() && now->second == tree) continue;
    out.text() += 'x';
    append_text(out.text(), name);
  }
  for (const auto& [name, tree] : trees) {
    out.text() += 't';
    append_text(out.text(), name);
    TRY_VOID(send_tree(session, view, snapshot, base, tree, out, info));
  }
  out.text() += 'e';
  info.bytes = TRY(out.finish());
  return info;
}

}  // namespace splitring::kv
