#include "tools/splitring/kv_session.h"

#include <cerrno>
#include <cstdio>
#include <ctime>

#include "tools/splitring/kv_text.h"

namespace splitring::tools {

Result<std::unique_ptr<OpenKv>> open_kv(const Session& session, const KvChoice& choice,
                                        KvAccess access) {
  const bool read_only = access == KvAccess::kRead;
  auto open = std::make_unique<OpenKv>(OpenKv{Disks(session.host), {}, {}, {}});
  // One for the session, one for the store's own thread.
  open->disk = TRY(open->disks.open_for_threads(choice.disk, read_only, 2));
  auto store =
      kv::TreeStore::open(*open->disk, {.cache_bytes = choice.cache_bytes, .read_only = read_only});
  if (!store && store.error().code == Errc::kNotFound)
    return fail(Errc::kNotFound, choice.disk +
                                     ": there is no key-value store; `splitring kv create " +
                                     choice.disk + "` makes one");
  if (!store) return fail_within(choice.disk, store.error());
  open->store = std::move(*store);
  open->session = TRY(open->store->session());
  if (!choice.branch.empty()) TRY_VOID(open->session->use_branch(choice.branch));
  return open;
}

Result<kv::View> view_of(OpenKv& kv, const KvChoice& choice) {
  if (choice.snapshot.empty()) return kv.session->view();
  return kv.session->view_of_snapshot(choice.snapshot);
}

Result<std::string> TypedKeys::bytes(const std::string& typed) const {
  if (!with_escapes) return typed;
  auto key = unescaped(typed);
  if (!key) return fail_within(typed, key.error());
  return key;
}

Result<kv::KeyRange> TypedRange::range(const TypedKeys& keys) const {
  if (!prefix.empty()) return kv::KeyRange::prefix(TRY(keys.bytes(prefix)));
  kv::KeyRange range;
  range.from = TRY(keys.bytes(from));
  if (!to.empty()) range.to = TRY(keys.bytes(to));
  return range;
}

void add_store_option(CLI::App& command, KvChoice& choice) {
  command.add_option("disk", choice.disk, "The disk with the store")->type_name("DISK")->required();
  command.add_option("--cache", choice.cache_bytes, "Memory for pages of the store (64 MiB)")
      ->type_name("BYTES")
      ->transform(CLI::AsSizeValue(false))
      ->check(CLI::Range(uint64_t{1} << 20, uint64_t{1} << 40));
}

void add_branch_option(CLI::App& command, KvChoice& choice) {
  command.add_option("--branch", choice.branch, "The branch of that name, not the main one")
      ->type_name("NAME");
}

void add_tree_option(CLI::App& command, KvChoice& choice) {
  command.add_option("--tree", choice.tree, "The tree of that name, not the default one")
      ->type_name("NAME");
  add_branch_option(command, choice);
}

void add_snapshot_option(CLI::App& command, KvChoice& choice) {
  command.add_option("--snapshot", choice.snapshot, "As of that snapshot, not the present")
      ->type_name("NAME");
}

void add_escapes_option(CLI::App& command, TypedKeys& keys) {
  command.add_flag("-e,--escapes", keys.with_escapes,
                   "Keys are typed with escapes: \\\\, \\t, \\n, \\r, \\xNN");
}

void add_range_options(CLI::App& command, TypedRange& range) {
  auto* const prefix =
      command.add_option("--prefix", range.prefix, "Keys that begin with this")->type_name("KEY");
  auto* const from =
      command.add_option("--from", range.from, "Keys from this one on")->type_name("KEY");
  auto* const to = command.add_option("--to", range.to, "Keys before this one")->type_name("KEY");
  prefix->excludes(from)->excludes(to);
}

int64_t now_s() { return static_cast<int64_t>(std::time(nullptr)); }

Result<> write_output(std::FILE* to, std::string_view bytes) {
  if (std::fwrite(bytes.data(), 1, bytes.size(), to) != bytes.size())
    return fail_errno("writing the output", errno);
  return {};
}

Result<> flush_output(std::FILE* to) {
  if (std::fflush(to) != 0) return fail_errno("writing the output", errno);
  return {};
}

}  // namespace splitring::tools
