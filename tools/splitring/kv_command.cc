// splitring kv: a transactional key-value store on a disk; kv create, stat, check, trim.
#include <cstdio>

#include "base/parse.h"
#include "kv/tree/check.h"
#include "tools/common/growable_image.h"
#include "tools/splitring/blank_disk.h"
#include "tools/splitring/json_output.h"
#include "tools/splitring/kv_session.h"
#include "tools/splitring/kv_text.h"

namespace splitring::tools {
namespace {

struct CreateOptions {
  std::string disk;
  uint64_t size = 0;
  kv::CreateOptions store;
};

Result<> create(const Session& session, const CreateOptions& options) {
  if (options.size != 0) {
    const auto file = growable_image(options.disk);
    if (!file)
      return fail(Errc::kInvalid, options.disk + ": --size is for a whole image (raw:PATH)");
    if (!TRY(create_image(*file, options.size)) && !options.store.overwrite)
      return fail(Errc::kExists, *file + " is there already; leave out --size to use it as it is");
  }
  Disks disks(session.host);
  const auto disk = TRY(disks.open(options.disk, false));
  const auto lane = TRY(disk->open_queue({}));
  if (!options.store.overwrite && !TRY(is_blank(*lane)))
    return fail(Errc::kExists, options.disk + " holds something: --overwrite destroys it");
  if (const auto made = kv::TreeStore::create(*disk, options.store); !made)
    return fail_within(options.disk, made.error());
  std::printf("created a store of %s\n", format_bytes(disk->geometry().capacity.bytes()).c_str());
  return {};
}

struct StatOptions {
  KvChoice choice;
  bool json = false;
};

struct Space {
  const char* name;
  const char* what;
  uint64_t pages;
};

std::vector<Space> spaces_of(const kv::StoreStat& stat) {
  return {{"free", "free", stat.free},
          {"resting", "freed, still being looked at", stat.resting},
          {"leaf", "keys and short values", stat.leaf},
          {"inner", "the way to them", stat.inner},
          {"value", "long values", stat.value},
          {"snapshot", "held by snapshots alone, or new", stat.snapshot},
          {"ring", "the ring that transactions go through", stat.ring},
          {"map", "which pages are free", stat.map}};
}

Result<> stat(const Session& session, const StatOptions& options) {
  const auto kv = TRY(open_kv(session, options.choice, KvAccess::kRead));
  const kv::StoreStat stat = kv->store->stat();
  const auto bytes = [](uint64_t pages) { return pages * 4096; };
  if (options.json) {
    nlohmann::json json{{"bytes", bytes(stat.pages)},
                        {"high_water_bytes", bytes(stat.high_water)},
                        {"ring_used_bytes", stat.ring_used_bytes},
                        {"transactions", stat.transactions},
                        {"generation", stat.generation}};
    for (const Space& space : spaces_of(stat)) json["space"][space.name] = bytes(space.pages);
    print_json(json);
    return {};
  }
  std::printf("%12s  the disk\n", format_bytes(bytes(stat.pages)).c_str());
  for (const Space& space : spaces_of(stat))
    std::printf("%12s  %s\n", format_bytes(bytes(space.pages)).c_str(), space.what);
  std::printf("%12s  written at one time or another\n",
              format_bytes(bytes(stat.high_water)).c_str());
  std::printf("%12llu  transactions\n", static_cast<unsigned long long>(stat.transactions));
  return flush_output(stdout);
}

Result<> check(const Session& session, const StatOptions& options) {
  const auto kv = TRY(open_kv(session, options.choice, KvAccess::kRead));
  const kv::CheckReport report = TRY(kv::StoreCheck::run(*kv->store, *kv->session));
  const unsigned long long pages = report.leaf_pages + report.inner_pages + report.value_pages;
  if (options.json) {
    print_json({{"problems", report.problems},
                {"problem_count", report.problem_count},
                {"pages", pages},
                {"keys", report.keys},
                {"ring_keys", report.ring_keys}});
  } else {
    for (const std::string& problem : report.problems)
      std::fprintf(stderr, "splitring: kv: %s\n", printable(problem).c_str());
    std::printf("checked %llu pages, %llu keys", pages,
                static_cast<unsigned long long>(report.keys));
    if (report.ring_keys != 0)
      std::printf(", and %llu that were changed since the last checkpoint",
                  static_cast<unsigned long long>(report.ring_keys));
    std::putchar('\n');
  }
  if (!report.clean())
    return fail(Errc::kInvalid,
                options.choice.disk + ": " + std::to_string(report.problem_count) + " problems");
  return {};
}

Result<> trim(const Session& session, const KvChoice& choice) {
  const auto kv = TRY(open_kv(session, choice, KvAccess::kWrite));
  const auto pages = kv->store->trim();
  if (!pages) return fail_within(choice.disk, pages.error());
  std::printf("gave back %s\n", format_bytes(*pages * 4096).c_str());
  return flush_output(stdout);
}

}  // namespace

void add_kv_store_commands(CLI::App& kv, Session& session) {
  auto created = std::make_shared<CreateOptions>();
  CLI::App* create_command = kv.add_subcommand("create", "Make an empty store of a whole disk");
  create_command->add_option("disk", created->disk, "The disk")->type_name("DISK")->required();
  create_command->add_option("--size", created->size, "Make the image too, of that size")
      ->type_name("BYTES")
      ->transform(CLI::AsSizeValue(false));
  create_command
      ->add_option("--ring", created->store.ring_bytes,
                   "For transactions on their way (a sixteenth of the disk, at most 32 MiB)")
      ->type_name("BYTES")
      ->transform(CLI::AsSizeValue(false));
  create_command->add_flag("--overwrite", created->store.overwrite, "Destroy what the disk holds");
  runs(*create_command, session, created, create);

  auto measured = std::make_shared<StatOptions>();
  CLI::App* stat_command = kv.add_subcommand("stat", "Show what takes the disk's space");
  add_store_option(*stat_command, measured->choice);
  stat_command->add_flag("--json", measured->json, "As JSON");
  runs(*stat_command, session, measured, stat);

  auto checked = std::make_shared<StatOptions>();
  CLI::App* check_command =
      kv.add_subcommand("check", "Read and verify all of a store, and say what is wrong and where");
  add_store_option(*check_command, checked->choice);
  check_command->add_flag("--json", checked->json, "As JSON");
  runs(*check_command, session, checked, check);

  auto trimmed = std::make_shared<KvChoice>();
  CLI::App* trim_command =
      kv.add_subcommand("trim", "Give all free space of a store back to its disk (discard)");
  add_store_option(*trim_command, *trimmed);
  runs(*trim_command, session, trimmed, trim);
}

void add_kv_command(CLI::App& program, Session& session) {
  CLI::App* command = program.add_subcommand("kv", "Transactional key-value stores on disks");
  command->require_subcommand(1);
  command->footer(
      "Examples:\n"
      "  splitring kv create raw:data.img --size 1G\n"
      "  splitring kv put raw:data.img greeting hello\n"
      "  splitring kv put raw:data.img video/intro --file intro.mp4\n"
      "  splitring kv get raw:data.img video/intro | mpv -\n"
      "  splitring kv scan raw:data.img --prefix user/ --limit 10 --reverse\n"
      "  printf 'check balance 10\\nput balance 9\\n' | splitring kv txn raw:data.img\n"
      "  splitring kv dump raw:data.img --format cdb | splitring kv load vbd:xvda --format cdb");
  add_kv_store_commands(*command, session);
  add_kv_value_commands(*command, session);
  add_kv_scan_commands(*command, session);
  add_kv_txn_command(*command, session);
  add_kv_load_commands(*command, session);
  add_kv_snapshot_commands(*command, session);
  add_kv_backup_commands(*command, session);
}

}  // namespace splitring::tools
