// splitring kv get, put, rm: single values, in and out.
#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstring>

#include "base/unique_fd.h"
#include "kv/tree/session.h"
#include "tools/splitring/json_output.h"
#include "tools/splitring/kv_session.h"
#include "tools/splitring/kv_text.h"

namespace splitring::tools {
namespace {

constexpr size_t kPieceBytes = size_t{1} << 20;

struct GetOptions {
  KvChoice choice;
  TypedKeys keys;
  std::string key;
  uint64_t offset = 0;
  uint64_t length = UINT64_MAX;
  bool json = false;
};

Result<> get(const Session& session, const GetOptions& options) {
  const std::string key = TRY(options.keys.bytes(options.key));
  const auto kv = TRY(open_kv(session, options.choice, KvAccess::kRead));
  kv::View view = TRY(view_of(*kv, options.choice));
  const kv::TreeId tree = TRY(view.tree(options.choice.tree));
  const auto item = TRY(view.find(tree, key));
  if (!item) return fail(Errc::kNotFound, escaped(key) + ": no such key");
  if (options.json) {
    nlohmann::json json{{"key", bytes_as_json(key)}, {"size", item->size}};
    if (item->modified_s) json["mtime"] = *item->modified_s;
    print_json(json);
    return {};
  }
  std::vector<std::byte> piece(kPieceBytes);
  uint64_t left = options.length;
  for (uint64_t at = options.offset; left != 0;) {
    const std::span<std::byte> out = std::span(piece).first(std::min<uint64_t>(left, piece.size()));
    const size_t count = TRY(view.read(tree, key, at, out));
    if (count == 0) break;
    TRY_VOID(write_output(stdout, {reinterpret_cast<const char*>(piece.data()), count}));
    at += count;
    left -= count;
  }
  return flush_output(stdout);
}

struct PutOptions {
  KvChoice choice;
  TypedKeys keys;
  std::string key;
  std::optional<std::string> value;
  std::string file;
  bool if_absent = false;
};

// Fills `out` as far as there is input.
Result<size_t> read_input(int fd, std::span<std::byte> out) {
  size_t filled = 0;
  while (filled < out.size()) {
    const ssize_t count = ::read(fd, out.data() + filled, out.size() - filled);
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) return fail_errno("reading the value", errno);
    if (count == 0) break;
    filled += static_cast<size_t>(count);
  }
  return filled;
}

// A value of any length from a descriptor: what is short goes into the transaction as it is, what
// is long is written before it, piece by piece.
class PutInput {
 public:
  static Result<PutInput> open(const PutOptions& options, kv::Session& session) {
    PutInput input;
    if (options.value) {
      input.text_ = *options.value;
      return input;
    }
    int fd = STDIN_FILENO;
    UniqueFd file;
    if (!options.file.empty()) {
      file = UniqueFd(::open(options.file.c_str(), O_RDONLY | O_CLOEXEC));
      if (!file) return fail_errno(options.file, errno);
      fd = file.get();
    }
    input.text_.resize(kPieceBytes);
    input.text_.resize(TRY(read_input(fd, std::as_writable_bytes(std::span(input.text_)))));
    if (input.text_.size() == kPieceBytes) TRY_VOID(input.stage(session, fd));
    return input;
  }
  Result<> put(kv::Transaction& tx, kv::TreeId tree, const std::string& key) {
    if (staged_) return tx.put_staged(tree, key, std::move(*staged_), now_s());
    return tx.put(tree, key, text_, now_s());
  }

 private:
  Result<> stage(kv::Session& session, int fd) {
    size_t given = 0;
    staged_.emplace(TRY(session.stage([&](std::span<std::byte> out) -> Result<size_t> {
      if (given == text_.size()) return read_input(fd, out);
      const size_t count = std::min(out.size(), text_.size() - given);
      std::memcpy(out.data(), text_.data() + given, count);
      given += count;
      return count;
    })));
    return {};
  }

  std::string text_;
  std::optional<kv::StagedValue> staged_;
};

Result<> put(const Session& session, const PutOptions& options) {
  const std::string key = TRY(options.keys.bytes(options.key));
  const auto kv = TRY(open_kv(session, options.choice, KvAccess::kWrite));
  PutInput input = TRY(PutInput::open(options, *kv->session));
  return kv->session->with_tx([&](kv::Transaction& tx) -> Result<> {
    const kv::TreeId tree = TRY(tx.create_tree(options.choice.tree));
    if (options.if_absent && TRY(tx.find(tree, key)))
      return fail(Errc::kExists, escaped(key) + ": is there already; nothing was changed");
    return input.put(tx, tree, key);
  });
}

struct RemoveOptions {
  KvChoice choice;
  TypedKeys keys;
  std::vector<std::string> names;
  TypedRange range;
  bool all = false;
  bool force = false;
  bool json = false;
};

Result<uint64_t> remove_keys(kv::Transaction& tx, kv::TreeId tree, const RemoveOptions& options) {
  for (const std::string& name : options.names) {
    const std::string key = TRY(options.keys.bytes(name));
    const auto item = TRY(tx.find(tree, key));
    if (!item && !options.force)
      return fail(Errc::kNotFound, escaped(key) + ": no such key; nothing was removed");
    TRY_VOID(tx.remove(tree, key));
  }
  return options.names.size();
}

Result<> remove(const Session& session, const RemoveOptions& options) {
  const bool by_range = options.all || !options.range.is_all();
  if (by_range != options.names.empty())
    return fail(Errc::kInvalid, "name keys, or a range of them (--prefix, --from, --to, --all)");
  const kv::KeyRange range = TRY(options.range.range(options.keys));
  const auto kv = TRY(open_kv(session, options.choice, KvAccess::kWrite));
  uint64_t removed = 0;
  TRY_VOID(kv->session->with_tx([&](kv::Transaction& tx) -> Result<> {
    const kv::TreeId tree = TRY(tx.tree(options.choice.tree));
    removed = by_range ? TRY(tx.remove_range(tree, range)) : TRY(remove_keys(tx, tree, options));
    return {};
  }));
  if (options.json)
    print_json({{"removed", removed}});
  else if (by_range)
    std::printf("removed %llu keys\n", static_cast<unsigned long long>(removed));
  return {};
}

void add_get(CLI::App& kv, Session& session) {
  auto options = std::make_shared<GetOptions>();
  CLI::App* command = kv.add_subcommand("get", "Write a value to standard output");
  add_store_option(*command, options->choice);
  command->add_option("key", options->key, "Its key")->type_name("KEY")->required();
  command->add_option("--offset", options->offset, "From that byte on")->type_name("BYTES");
  command->add_option("--length", options->length, "At most so many bytes")->type_name("BYTES");
  add_tree_option(*command, options->choice);
  add_snapshot_option(*command, options->choice);
  add_escapes_option(*command, options->keys);
  command->add_flag("--json", options->json, "Its size and time, as JSON, instead of the value");
  runs(*command, session, options, get);
}

void add_put(CLI::App& kv, Session& session) {
  auto options = std::make_shared<PutOptions>();
  CLI::App* command = kv.add_subcommand("put", "Store a value, of standard input if none is given");
  add_store_option(*command, options->choice);
  command->add_option("key", options->key, "Its key")->type_name("KEY")->required();
  auto* const value =
      command->add_option("value", options->value, "The value itself")->type_name("VALUE");
  command->add_option("-f,--file", options->file, "What is in this file, of any length")
      ->type_name("FILE")
      ->excludes(value);
  add_tree_option(*command, options->choice);
  command->add_flag("--if-absent", options->if_absent, "Only if the key is not there");
  add_escapes_option(*command, options->keys);
  runs(*command, session, options, put);
}

void add_remove(CLI::App& kv, Session& session) {
  auto options = std::make_shared<RemoveOptions>();
  CLI::App* command = kv.add_subcommand("rm", "Remove keys, all of them or none");
  add_store_option(*command, options->choice);
  command->add_option("key", options->names, "Keys")->type_name("KEY");
  add_range_options(*command, options->range);
  command->add_flag("--all", options->all, "All keys of the tree");
  add_tree_option(*command, options->choice);
  command->add_flag("--force", options->force, "Keys need not be there");
  add_escapes_option(*command, options->keys);
  command->add_flag("--json", options->json, "As JSON");
  runs(*command, session, options, remove);
}

}  // namespace

void add_kv_value_commands(CLI::App& kv, Session& session) {
  add_get(kv, session);
  add_put(kv, session);
  add_remove(kv, session);
}

}  // namespace splitring::tools
