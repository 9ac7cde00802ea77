// splitring fat create, label, info, check: the volume as a whole.
#include <algorithm>
#include <array>
#include <cstdio>

#include "base/parse.h"
#include "fs/fat/fat_check.h"
#include "fs/fat/fat_format.h"
#include "tools/common/growable_image.h"
#include "tools/common/partition_hint.h"
#include "tools/splitring/fat_session.h"
#include "tools/splitring/json_output.h"

namespace splitring::tools {
namespace {

struct CreateOptions {
  std::string disk;
  FatFormat format;
  uint64_t size = 0;
  bool overwrite = false;
  bool json = false;
};

struct VolumeOptions {
  std::string disk;
  std::string label;
  bool has_label = false;
  bool repair = false;
  bool json = false;
};

std::string id_text(uint32_t id) {
  std::array<char, 16> text{};
  std::snprintf(text.data(), text.size(), "%04X-%04X", id >> 16, id & 0xffff);
  return text.data();
}

Result<bool> is_blank(BlockQueue& lane) {
  std::array<std::byte, 4096> first{};
  TRY_VOID(lane.read({0}, std::span(first).first(lane.geometry().logical_block_bytes)));
  return std::ranges::all_of(first, [](std::byte b) { return b == std::byte{0}; });
}

void print_info(const FatVolumeInfo& info, bool json) {
  const uint64_t cluster = info.space.cluster_bytes;
  if (json) {
    print_json({{"type", to_string(info.type)},
                {"label", info.label},
                {"id", id_text(info.id)},
                {"bytes", info.total_bytes},
                {"sector_bytes", info.sector_bytes},
                {"cluster_bytes", cluster},
                {"clusters", info.space.clusters},
                {"free_clusters", info.space.free_clusters},
                {"free_bytes", info.space.free_clusters * cluster},
                {"fats", info.fat_count},
                {"clean", !info.was_dirty}});
    return;
  }
  std::printf(
      "%s, %s, label %s, id %s\n", to_string(info.type), format_bytes(info.total_bytes).c_str(),
      info.label.empty() ? "(none)" : printable(info.label).c_str(), id_text(info.id).c_str());
  std::printf("%llu clusters of %s, %s free%s\n",
              static_cast<unsigned long long>(info.space.clusters), format_bytes(cluster).c_str(),
              format_bytes(info.space.free_clusters * cluster).c_str(),
              info.was_dirty ? "; it was not unmounted" : "");
}

Result<> create_on(const Session& session, const CreateOptions& options) {
  Disks disks(session.host);
  const auto disk = TRY(disks.open(options.disk, false));
  const auto lane = TRY(disk->open_queue({}));
  if (disk->geometry().capacity.count == 0)
    return fail(Errc::kInvalid, options.disk + " is empty: say --size");
  if (!options.overwrite && !TRY(is_blank(*lane)))
    return fail(Errc::kExists, options.disk + " holds something: --overwrite destroys it");
  TRY_VOID(format_fat(*lane, options.format));
  const auto volume = TRY(FatVolume::open(*lane, {.read_only = true}));
  print_info(volume->info(), options.json);
  return {};
}

Result<> create(const Session& session, const CreateOptions& options) {
  const auto file = growable_image(options.disk);
  if (!file && options.size != 0)
    return fail(Errc::kInvalid, options.disk + ": --size is for a whole image (raw:PATH)");
  if (!file) return create_on(session, options);
  const auto before = image_bytes(*file);
  if (options.size != 0 && before.value_or(0) > options.size)
    return fail(Errc::kInvalid, *file + " has " + format_bytes(*before) +
                                    " already: --size does not make it shorter");
  TRY_VOID(grow_image(*file, options.size));
  auto done = create_on(session, options);
  if (!done) restore_image(*file, before);
  return done;
}

Result<> info(const Session& session, const VolumeOptions& options) {
  const auto fat = TRY(open_fat(session, options.disk, true));
  print_info(fat->volume->info(), options.json);
  return {};
}

Result<> label(const Session& session, const VolumeOptions& options) {
  const auto fat = TRY(open_fat(session, options.disk, !options.has_label));
  if (!options.has_label) {
    std::printf("%s\n", printable(fat->volume->info().label).c_str());
    return {};
  }
  auto done = fat->volume->set_label(*fat->lane, options.label);
  auto closed = fat->volume->close(*fat->lane);
  return done ? closed : done;
}

void print_report(const FatReport& report) {
  for (const FatFinding& finding : report.findings)
    std::printf("%s%s%s\n", finding.is_damage ? "damage: " : "", printable(finding.what).c_str(),
                finding.repaired ? " (repaired)" : "");
  std::printf(
      "%llu files, %llu directories, %llu of %llu clusters in use: %s\n",
      static_cast<unsigned long long>(report.files),
      static_cast<unsigned long long>(report.directories),
      static_cast<unsigned long long>(report.used_clusters),
      static_cast<unsigned long long>(report.clusters),
      report.unrepaired != 0 ? "not clean" : (report.findings.empty() ? "clean" : "repaired"));
}

Result<> check(const Session& session, const VolumeOptions& options) {
  Disks disks(session.host);
  const auto disk = TRY(disks.open(options.disk, !options.repair));
  const auto lane = TRY(disk->open_queue({}));
  const auto checked = check_fat(*lane, options.repair ? FatRepair::kAll : FatRepair::kNothing);
  if (!checked) return fail_on_disk(*lane, options.disk, checked.error());
  const FatReport& report = *checked;
  if (options.json) {
    nlohmann::json findings = nlohmann::json::array();
    for (const FatFinding& finding : report.findings)
      findings.push_back(
          {{"what", finding.what}, {"damage", finding.is_damage}, {"repaired", finding.repaired}});
    print_json({{"findings", findings},
                {"remains", report.remains},
                {"damage", report.damage},
                {"unrepaired", report.unrepaired},
                {"files", report.files},
                {"directories", report.directories},
                {"used_clusters", report.used_clusters},
                {"clusters", report.clusters},
                {"lost_clusters", report.lost_clusters}});
  } else {
    print_report(report);
  }
  if (report.unrepaired == 0) return {};
  return fail(Errc::kInvalid, std::to_string(report.unrepaired) + " findings" +
                                  (options.repair ? " are left" : "; --repair puts them right"));
}

template <class T>
void add_size(CLI::App& command, const std::string& name, T& value, const std::string& help) {
  command
      .add_option_function<std::string>(
          name,
          [&value, name](const std::string& text) {
            const auto size = parse_size(text);
            if (!size) throw CLI::ValidationError(name, size.error().what);
            value = static_cast<T>(*size);
          },
          help)
      ->type_name("SIZE");
}

uint32_t parse_id(const std::string& text) {
  std::string digits = text;
  std::erase(digits, '-');
  if (digits.size() != 8 || digits.find_first_not_of("0123456789abcdefABCDEF") != std::string::npos)
    throw CLI::ValidationError("--id", text + ": write eight hexadecimal digits, 1234-ABCD");
  return static_cast<uint32_t>(std::stoul(digits, nullptr, 16));
}

void add_create(CLI::App& fat, Session& session) {
  auto options = std::make_shared<CreateOptions>();
  CLI::App* command = fat.add_subcommand("create", "Make an empty volume on a disk");
  add_fat_disk(*command, options->disk);
  add_size(*command, "--size", options->size, "Make the image file that long: 16M, 4G");
  command
      ->add_option_function<std::string>(
          "--type",
          [options](const std::string& text) {
            options->format.type = text == "fat12"   ? FatType::kFat12
                                   : text == "fat16" ? FatType::kFat16
                                   : text == "fat32" ? FatType::kFat32
                                                     : FatType::kExfat;
          },
          "fat12, fat16, fat32 or exfat (default: a FAT, by the size)")
      ->check(CLI::IsMember({"fat12", "fat16", "fat32", "exfat"}));
  auto* const format = &options->format;
  command
      ->add_option_function<std::string>(
          "--cluster",
          [format](const std::string& text) {
            const auto size = parse_size(text);
            if (!size || *size > 32U << 20)
              throw CLI::ValidationError("--cluster", text + ": write 512 to 64K, of exFAT to 32M");
            format->cluster_bytes = static_cast<uint32_t>(*size);
          },
          "Bytes of a cluster (default: by the size)")
      ->type_name("SIZE");
  command->add_option("--label", format->label, "The volume's name, 11 characters")
      ->type_name("TEXT");
  command
      ->add_option_function<std::string>(
          "--id", [format](const std::string& text) { format->id = parse_id(text); },
          "The volume's number, 1234-ABCD (default: random)")
      ->type_name("ID");
  add_size(*command, "--sector", format->sector_bytes, "Bytes of a sector (default: the disk's)");
  add_size(*command, "--align", format->align_bytes, "Files begin at a multiple of that");
  command
      ->add_option("--partition-offset", format->partition_offset,
                   "Sectors in front of the partition that the disk is")
      ->type_name("N");
  command->add_flag("--overwrite", options->overwrite, "Destroy what the disk holds");
  command->add_flag("--json", options->json, "As JSON");
  runs(*command, session, options, create);
}

CLI::App* add_volume_command(CLI::App& fat, Session& session, const char* name, const char* help,
                             const std::shared_ptr<VolumeOptions>& options,
                             Result<> (*run)(const Session&, const VolumeOptions&)) {
  CLI::App* command = fat.add_subcommand(name, help);
  add_fat_disk(*command, options->disk);
  runs(*command, session, options, run);
  return command;
}

}  // namespace

void add_fat_make_commands(CLI::App& fat, Session& session) {
  add_create(fat, session);

  auto labelled = std::make_shared<VolumeOptions>();
  add_volume_command(fat, session, "label", "Show or change the volume's name", labelled, label)
      ->add_option_function<std::string>(
          "label",
          [labelled](const std::string& text) {
            labelled->label = text;
            labelled->has_label = true;
          },
          "The new name; empty: none")
      ->type_name("LABEL");

  auto shown = std::make_shared<VolumeOptions>();
  add_volume_command(fat, session, "info", "Show type, size and free space", shown, info)
      ->add_flag("--json", shown->json, "As JSON");

  auto checked = std::make_shared<VolumeOptions>();
  CLI::App* check_command = add_volume_command(fat, session, "check",
                                               "Look for damage, and put it right", checked, check);
  check_command->add_flag("--repair", checked->repair, "Put right what is found");
  check_command->add_flag("--json", checked->json, "As JSON");
}

}  // namespace splitring::tools
