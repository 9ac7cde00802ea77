// splitring mount: the files of a disk as files of this machine.
#include <sys/stat.h>

#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <map>
#include <memory>

#include "tools/common/disks.h"
#include "tools/common/stop_signals.h"
#include "tools/splitring/command.h"
#include "tools/splitring/mount/background.h"
#include "tools/splitring/mount/fuse_session.h"
#include "tools/splitring/mount/open_tree.h"
#include "tools/splitring/mount/watcher.h"

namespace splitring::tools {
namespace {

struct MountCommandOptions {
  std::string disk;
  std::string directory;
  std::optional<TreeKind> kind;
  MountOptions mount;
  bool foreground = false;
};

Result<std::string> find_directory(const std::string& given) {
  struct stat status {};
  if (::stat(given.c_str(), &status) != 0) {
    if (errno != ENOTCONN) return fail_errno(given, errno);
    return fail(Errc::kBusy, given +
                                 ": what was mounted here has died: umount it first (without "
                                 "being root: fusermount3 -u)");
  }
  if (!S_ISDIR(status.st_mode)) return fail(Errc::kInvalid, given + ": not a directory");
  const std::unique_ptr<char, decltype(&std::free)> path(::realpath(given.c_str(), nullptr),
                                                         &std::free);
  if (!path) return fail_errno(given, errno);
  return std::string(path.get());
}

FuseSession::Options session_options(const MountCommandOptions& options, const MountedTree& tree,
                                     std::string directory) {
  FuseSession::Options session{options.disk, std::move(directory), options.mount.kernel};
  if (tree.read_only()) session.o.emplace_back("ro");
  if (options.mount.others) session.o.emplace_back("allow_other");
  // An archive that nobody else can reach hides nothing from who mounted it, whatever its modes
  // say.
  if (options.mount.others || !tree.has_foreign_modes())
    session.o.emplace_back("default_permissions");
  return session;
}

// A terminal that goes away ends the mount as SIGTERM does.
void end_with_the_terminal() {
  std::signal(SIGHUP, [](int) { ::kill(::getpid(), SIGTERM); });
}

Result<> serve(const MountCommandOptions& options, const StopSignals& stop, OpenTree& opened,
               const std::string& directory, std::function<void()> on_ready) {
  FuseMount mount{*opened.tree, opened.tree->caching(), std::move(on_ready)};
  const auto session =
      TRY(FuseSession::open(mount, session_options(options, *opened.tree, directory)));
  const auto watcher = TRY(Watcher::start(stop, *session));
  return session->serve(*opened.disk, *opened.lane,
                        {.settle = [&opened] { opened.tree->settle(*opened.lane); },
                         .work = [&opened] { return opened.tree->work(*opened.lane); }});
}

Result<> run_mount(const Session& session, const MountCommandOptions& options) {
  const std::string directory = TRY(find_directory(options.directory));
  Background background;
  if (!options.foreground) background = TRY(Background::enter());
  const StopSignals stop = TRY(StopSignals::install());
  end_with_the_terminal();
  Complaints complaints;
  Disks disks(session.host);
  OpenTree opened = TRY(open_tree(disks, options.disk, options.kind, options.mount, complaints));
  bool mounted = false;
  const auto served = serve(options, stop, opened, directory, [&] {
    mounted = true;
    if (!options.foreground) complaints.to_system_log();
    background.ready();
    std::printf("mount: ready: %s (%s) on %s\n", printable(options.disk).c_str(),
                opened.tree->kind().c_str(), printable(directory).c_str());
    std::fflush(stdout);
  });
  const auto finished = opened.tree->finish(*opened.lane);
  if (!served) return served;
  if (!mounted) return fail(Errc::kUnsupported, directory + ": the kernel did not answer");
  if (!finished) complaints.say(finished.error().what);
  return finished;
}

void add_options(CLI::App& command, MountCommandOptions& options) {
  command.add_option("disk", options.disk, "The disk")->type_name("DISK")->required();
  command.add_option("directory", options.directory, "Where its files appear")
      ->type_name("DIR")
      ->required();
  const std::map<std::string, TreeKind> kinds{{"fat", TreeKind::kFat}, {"tar", TreeKind::kTar}};
  command
      .add_option_function<std::string>(
          "-t,--type",
          [&options, kinds](const std::string& name) { options.kind = kinds.at(name); },
          "What the disk holds: fat or tar (default: looked up on it)")
      ->type_name("TYPE")
      ->check(CLI::IsMember(kinds));
  command
      .add_option_function<std::vector<std::string>>(
          "-o,--options",
          [&options](const std::vector<std::string>& lists) {
            for (const std::string& list : lists)
              if (const auto added = options.mount.add(list); !added)
                throw CLI::ValidationError("-o", added.error().what);
          },
          "As mount(8) takes them: ro,uid=,gid=,umask=,fmask=,dmask=,allow_other,...")
      ->type_name("LIST")
      ->expected(1)
      ->multi_option_policy(CLI::MultiOptionPolicy::TakeAll);
  command.add_flag("-f,--foreground", options.foreground, "Stay in the foreground until unmounted");
}

}  // namespace

void add_mount_command(CLI::App& program, Session& session) {
  auto options = std::make_shared<MountCommandOptions>();
  CLI::App* command = program.add_subcommand("mount", "Mount the files of a disk on a directory");
  add_options(*command, *options);
  command->footer(
      "Returns once the files are there; umount DIR, or fusermount3 -u DIR, ends it, and so does\n"
      "SIGTERM. Everything is on the disk then.\n"
      "Examples:\n"
      "  splitring mount raw:stick.img /mnt -o uid=1000,gid=1000\n"
      "  splitring mount raw:docs.tar /mnt\n"
      "  splitring mount archive:docs.tar.zst /mnt -o allow_other\n"
      "  splitring mount -f vbd:xvda /mnt");
  runs(*command, session, options, run_mount);
}

}  // namespace splitring::tools
