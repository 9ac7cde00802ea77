// splitring kv ls, scan: what a tree holds, as paths or in order.
#include <algorithm>
#include <cstdio>

#include "kv/path_store.h"
#include "tools/splitring/json_output.h"
#include "tools/splitring/kv_session.h"
#include "tools/splitring/kv_text.h"
#include "tools/splitring/time_text.h"

namespace splitring::tools {
namespace {

struct ListOptions {
  KvChoice choice;
  std::string path;
  bool recursive = false;
  bool trees = false;
  bool json = false;
};

struct Listed {
  std::string key;
  kv::Entry entry;
};

Result<std::vector<Listed>> entries_of(kv::ReadStore& store, const ListOptions& options) {
  const auto start = TRY(store.find(options.path));
  if (!start) return fail(Errc::kNotFound, options.path + ": no such key");
  std::vector<Listed> listed;
  if (start->kind == kv::Kind::kValue) {
    listed.push_back({options.path, *start});
  } else if (options.recursive) {
    TRY_VOID(store.iter(options.path, [&](const std::string& key, const kv::Entry& entry) {
      listed.push_back({key, entry});
      return true;
    }));
  } else {
    for (const kv::Child& child : TRY(store.list(options.path)))
      listed.push_back({child.name, child.entry});
  }
  return listed;
}

Result<> list_trees(kv::View& view, bool json) {
  nlohmann::json array = nlohmann::json::array();
  for (const kv::TreeName& tree : TRY(view.trees())) {
    if (json)
      array.push_back({{"name", bytes_as_json(tree.name)}});
    else
      std::printf("%s\n", tree.name.empty() ? "(default)" : escaped(tree.name).c_str());
  }
  if (json) print_json(array);
  return flush_output(stdout);
}

Result<> list(const Session& session, const ListOptions& options) {
  const auto kv = TRY(open_kv(session, options.choice, KvAccess::kRead));
  auto view = std::make_shared<kv::View>(TRY(view_of(*kv, options.choice)));
  if (options.trees) return list_trees(*view, options.json);
  const kv::TreeId tree = TRY(view->tree(options.choice.tree));
  kv::PathStore store(view, tree);
  nlohmann::json array = nlohmann::json::array();
  for (const auto& [key, entry] : TRY(entries_of(store, options))) {
    if (options.json) {
      nlohmann::json json{{"key", bytes_as_json(key)}, {"kind", kv::to_string(entry.kind)}};
      if (entry.kind == kv::Kind::kValue) json["size"] = entry.size;
      if (entry.modified_s) json["mtime"] = *entry.modified_s;
      array.push_back(std::move(json));
    } else {
      std::printf("%-10s %14llu  %-16s  %s\n", kv::to_string(entry.kind),
                  static_cast<unsigned long long>(entry.size),
                  format_time(entry.modified_s).c_str(), escaped(key).c_str());
    }
  }
  if (options.json) print_json(array);
  return flush_output(stdout);
}

struct ScanOptions {
  KvChoice choice;
  TypedKeys keys;
  TypedRange range;
  bool reverse = false;
  bool keys_only = false;
  bool count = false;
  bool json = false;
  uint64_t limit = UINT64_MAX;
};

// One line a key: it and its value, or JSON's text of the same.
Result<> print_at(kv::View& view, const kv::TreeCursor& cursor, const ScanOptions& options) {
  std::string value;
  if (!options.keys_only) TRY_VOID(view.value(cursor, value));
  std::string line;
  if (options.json) {
    nlohmann::json json{{"key", bytes_as_json(cursor.key())}};
    if (options.keys_only)
      json["size"] = TRY(view.item(cursor)).size;
    else
      json["value"] = bytes_as_json(value);
    line = json.dump();
  } else {
    append_escaped(line, cursor.key());
    if (!options.keys_only) {
      line += '\t';
      append_escaped(line, value);
    }
  }
  line += '\n';
  return write_output(stdout, line);
}

Result<> scan(const Session& session, const ScanOptions& options) {
  const kv::KeyRange range = TRY(options.range.range(options.keys));
  const auto kv = TRY(open_kv(session, options.choice, KvAccess::kRead));
  kv::View view = TRY(view_of(*kv, options.choice));
  const kv::TreeId tree = TRY(view.tree(options.choice.tree));
  if (options.count) {
    const uint64_t count = std::min(options.limit, TRY(view.count(tree, range)));
    if (options.json)
      print_json({{"count", count}});
    else
      std::printf("%llu\n", static_cast<unsigned long long>(count));
    return flush_output(stdout);
  }
  kv::TreeCursor cursor = view.cursor(tree, range);
  uint64_t left = options.limit;
  for (bool more = options.reverse ? TRY(cursor.last()) : TRY(cursor.first()); more && left != 0;
       more = options.reverse ? TRY(cursor.previous()) : TRY(cursor.next())) {
    TRY_VOID(print_at(view, cursor, options));
    left--;
  }
  return flush_output(stdout);
}

void add_list(CLI::App& kv, Session& session) {
  auto options = std::make_shared<ListOptions>();
  CLI::App* command =
      kv.add_subcommand("ls", "Show keys as paths: what is between two slashes is a name");
  add_store_option(*command, options->choice);
  command->add_option("path", options->path, "Dictionary or value (default: the root)")
      ->type_name("PATH");
  command->add_flag("-r,--recursive", options->recursive, "All values below it");
  command->add_flag("--trees", options->trees, "The store's trees instead");
  add_tree_option(*command, options->choice);
  add_snapshot_option(*command, options->choice);
  command->add_flag("--json", options->json, "As JSON");
  runs(*command, session, options, list);
}

void add_scan(CLI::App& kv, Session& session) {
  auto options = std::make_shared<ScanOptions>();
  CLI::App* command =
      kv.add_subcommand("scan", "Print keys and values in order, one line each, with escapes");
  add_store_option(*command, options->choice);
  add_range_options(*command, options->range);
  command->add_flag("--reverse", options->reverse, "The last one first");
  command->add_option("--limit", options->limit, "At most so many")->type_name("N");
  command->add_flag("--keys", options->keys_only, "Without the values");
  command->add_flag("--count", options->count, "Their number alone");
  add_tree_option(*command, options->choice);
  add_snapshot_option(*command, options->choice);
  add_escapes_option(*command, options->keys);
  command->add_flag("--json", options->json, "As JSON, one object a line");
  runs(*command, session, options, scan);
}

}  // namespace

void add_kv_scan_commands(CLI::App& kv, Session& session) {
  add_list(kv, session);
  add_scan(kv, session);
}

}  // namespace splitring::tools
