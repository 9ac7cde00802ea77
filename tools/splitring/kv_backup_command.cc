// splitring kv backup, restore: a snapshot as a file, whole or as what changed since another.
#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>

#include "base/parse.h"
#include "base/unique_fd.h"
#include "kv/tree/backup.h"
#include "tools/splitring/json_output.h"
#include "tools/splitring/kv_session.h"
#include "tools/splitring/kv_text.h"

namespace splitring::tools {
namespace {

struct BackupOptions {
  KvChoice choice;
  std::string snapshot;
  std::string since;
  std::string file;
  bool json = false;
};

void report(const char* verb, const kv::BackupInfo& info, bool json, std::FILE* to) {
  if (json) {
    print_json({{"snapshot", bytes_as_json(info.snapshot)},
                {"since", bytes_as_json(info.base)},
                {"keys", info.keys},
                {"removed", info.removed},
                {"bytes", info.bytes}});
    return;
  }
  std::fprintf(to, "%s %s: %llu keys, %llu removed, %s\n", verb, escaped(info.snapshot).c_str(),
               static_cast<unsigned long long>(info.keys),
               static_cast<unsigned long long>(info.removed), format_bytes(info.bytes).c_str());
}

Result<> write_all(int fd, std::string_view bytes) {
  while (!bytes.empty()) {
    const ssize_t count = ::write(fd, bytes.data(), bytes.size());
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) return fail_errno("writing the backup", errno);
    bytes.remove_prefix(static_cast<size_t>(count));
  }
  return {};
}

// A file that is not whole is not left behind.
Result<> backup(const Session& session, const BackupOptions& options) {
  if (options.json && options.file.empty())
    return fail(Errc::kInvalid, "--json needs --file: the backup itself is the output");
  const auto kv = TRY(open_kv(session, options.choice, KvAccess::kRead));
  UniqueFd file;
  if (!options.file.empty()) {
    file = UniqueFd(::open(options.file.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666));
    if (!file) return fail_errno(options.file, errno);
  }
  const int fd = file ? file.get() : STDOUT_FILENO;
  const auto done = kv::backup(*kv->session, options.snapshot, options.since,
                               [fd](std::string_view bytes) { return write_all(fd, bytes); });
  if (file && (!done || ::fsync(fd) != 0)) {
    const int why = errno;
    (void)::unlink(options.file.c_str());
    if (done) return fail_errno(options.file, why);
  }
  if (!done) return tl::unexpected<Error>(done.error());
  report("backed up", *done, options.json, options.file.empty() ? stderr : stdout);
  return {};
}

Result<> restore(const Session& session, const BackupOptions& options) {
  UniqueFd file;
  if (!options.file.empty()) {
    file = UniqueFd(::open(options.file.c_str(), O_RDONLY | O_CLOEXEC));
    if (!file) return fail_errno(options.file, errno);
  }
  const int fd = file ? file.get() : STDIN_FILENO;
  const auto kv = TRY(open_kv(session, options.choice, KvAccess::kWrite));
  const kv::BackupInfo info =
      TRY(kv::restore(*kv->session, [fd](std::span<std::byte> out) -> Result<size_t> {
        ssize_t count = 0;
        do {
          count = ::read(fd, out.data(), out.size());
        } while (count < 0 && errno == EINTR);
        if (count < 0) return fail_errno("reading the backup", errno);
        return static_cast<size_t>(count);
      }));
  report("restored", info, options.json, stdout);
  return {};
}

}  // namespace

void add_kv_backup_commands(CLI::App& kv, Session& session) {
  auto saved = std::make_shared<BackupOptions>();
  CLI::App* backup_command = kv.add_subcommand(
      "backup", "Write a snapshot to standard output, or what changed since another one");
  add_store_option(*backup_command, saved->choice);
  backup_command->add_option("snapshot", saved->snapshot, "The snapshot")
      ->type_name("SNAPSHOT")
      ->required();
  backup_command->add_option("--since", saved->since, "Only what differs from this earlier one")
      ->type_name("SNAPSHOT");
  backup_command->add_option("-f,--file", saved->file, "To a file, which it makes")
      ->type_name("FILE");
  add_branch_option(*backup_command, saved->choice);
  backup_command->add_flag("--json", saved->json, "Say what it holds as JSON");
  runs(*backup_command, session, saved, backup);

  auto restored = std::make_shared<BackupOptions>();
  CLI::App* restore_command =
      kv.add_subcommand("restore", "Take in a backup of standard input, and its snapshot");
  add_store_option(*restore_command, restored->choice);
  restore_command->add_option("-f,--file", restored->file, "Of a file")->type_name("FILE");
  add_branch_option(*restore_command, restored->choice);
  restore_command->add_flag("--json", restored->json, "As JSON");
  runs(*restore_command, session, restored, restore);
}

}  // namespace splitring::tools
