// What the commands upon a key-value store share.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "kv/tree/session.h"
#include "kv/tree/store.h"
#include "tools/common/disks.h"
#include "tools/splitring/command.h"

namespace splitring::tools {

// Where, in a store.
struct KvChoice {
  std::string disk;
  std::string tree;      // empty: the default one
  std::string branch;    // empty: the main one
  std::string snapshot;  // empty: the present
  uint64_t cache_bytes = uint64_t{64} << 20;
};

// A disk with a store on it, open. Its members go in the order that they need.
struct OpenKv {
  Disks disks;
  std::unique_ptr<BlockDevice> disk;
  std::unique_ptr<kv::TreeStore> store;
  std::unique_ptr<kv::Session> session;
};

enum class KvAccess : uint8_t { kRead, kWrite };

// kNotFound says how to make a store.
Result<std::unique_ptr<OpenKv>> open_kv(const Session& session, const KvChoice& choice,
                                        KvAccess access);
// Of the present, or of the snapshot that was chosen.
Result<kv::View> view_of(OpenKv& kv, const KvChoice& choice);

// Keys as they are typed: their bytes, or with escapes (kv_text.h).
struct TypedKeys {
  bool with_escapes = false;
  [[nodiscard]] Result<std::string> bytes(const std::string& typed) const;
};

// Which keys: those that begin with a prefix, or from one on and before another. Empty: all.
struct TypedRange {
  std::string prefix;
  std::string from;
  std::string to;
  [[nodiscard]] bool is_all() const { return prefix.empty() && from.empty() && to.empty(); }
  [[nodiscard]] Result<kv::KeyRange> range(const TypedKeys& keys) const;
};

void add_store_option(CLI::App& command, KvChoice& choice);
void add_branch_option(CLI::App& command, KvChoice& choice);
void add_tree_option(CLI::App& command, KvChoice& choice);
void add_snapshot_option(CLI::App& command, KvChoice& choice);
void add_escapes_option(CLI::App& command, TypedKeys& keys);
void add_range_options(CLI::App& command, TypedRange& range);

// The seconds since 1970, which values carry as the time of their change.
[[nodiscard]] int64_t now_s();

// Buffered; flush() says whether all of it was taken.
Result<> write_output(std::FILE* to, std::string_view bytes);
Result<> flush_output(std::FILE* to);

// Declares `kv` with all that is below it.
void add_kv_command(CLI::App& program, Session& session);
// Each declares commands below `kv`.
void add_kv_store_commands(CLI::App& kv, Session& session);
void add_kv_value_commands(CLI::App& kv, Session& session);
void add_kv_scan_commands(CLI::App& kv, Session& session);
void add_kv_txn_command(CLI::App& kv, Session& session);
void add_kv_load_commands(CLI::App& kv, Session& session);
void add_kv_snapshot_commands(CLI::App& kv, Session& session);
void add_kv_backup_commands(CLI::App& kv, Session& session);

}  // namespace splitring::tools
