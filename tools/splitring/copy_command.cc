// splitring cp: the bytes of one disk to another.
#include <unistd.h>

#include <chrono>
#include <cstdio>
#include <memory>
#include <string>
#include <utility>

#include "base/parse.h"
#include "tools/common/disks.h"
#include "tools/common/growable_image.h"
#include "tools/splitring/command.h"
#include "tools/splitring/disk_copy.h"
#include "tools/splitring/json_output.h"
#include "tools/splitring/progress_bar.h"

namespace splitring::tools {
namespace {

struct CopyOptions {
  std::string from;
  std::string to;
  bool json = false;
};

void print_summary(const CopyReport& report, double seconds, const Geometry& to) {
  const double bytes_per_s = static_cast<double>(report.bytes) / seconds;
  std::printf("copied %s (%s of it zeroes) in %.2f s, %s/s\n", format_bytes(report.bytes).c_str(),
              format_bytes(report.zero_bytes).c_str(), seconds,
              format_bytes(static_cast<uint64_t>(bytes_per_s)).c_str());
  if (to.capacity.bytes() > report.bytes)
    std::printf("the target is larger: its last %s are as they were\n",
                format_bytes(to.capacity.bytes() - report.bytes).c_str());
}

// A file that the copy makes goes again unless the copy succeeds: half of one looks like a whole.
class NewFile {
 public:
  explicit NewFile(std::string path) : path_(std::move(path)) {}
  NewFile(const NewFile&) = delete;
  NewFile& operator=(const NewFile&) = delete;
  ~NewFile() {
    if (!kept_) ::unlink(path_.c_str());
  }
  void keep() { kept_ = true; }

 private:
  const std::string path_;
  bool kept_ = false;
};

// Nothing: the target is no file, or one that is there.
Result<std::unique_ptr<NewFile>> make_target(const std::string& to, Sectors capacity) {
  const auto path = growable_image(to);
  if (!path || !TRY(create_image(*path, capacity.bytes()))) return std::unique_ptr<NewFile>();
  return std::make_unique<NewFile>(*path);
}

Result<> copy(const Session& session, const CopyOptions& options) {
  Disks disks(session.host);
  const auto from = TRY(disks.open(options.from, true));
  const auto made = TRY(make_target(options.to, from->geometry().capacity));
  const auto to = TRY(disks.open(options.to, false));
  const auto begin = std::chrono::steady_clock::now();
  ProgressBar bar(!options.json);
  const auto report =
      copy_disk(*from, *to, [&bar](uint64_t done, uint64_t total) { bar.show(done, total); });
  bar.clear();
  if (!report) return fail_within(options.from + " to " + options.to, report.error());
  if (made) made->keep();
  const std::chrono::duration<double> took = std::chrono::steady_clock::now() - begin;
  if (options.json)
    print_json(
        {{"bytes", report->bytes}, {"zero_bytes", report->zero_bytes}, {"seconds", took.count()}});
  else
    print_summary(*report, took.count(), to->geometry());
  return {};
}

}  // namespace

void add_copy_command(CLI::App& program, Session& session) {
  auto options = std::make_shared<CopyOptions>();
  CLI::App* command = program.add_subcommand("cp", "Copy a disk to another one");
  command->add_option("from", options->from, "The disk to read")->type_name("DISK")->required();
  command
      ->add_option(
          "to", options->to,
          "The disk to overwrite, at least as large; a raw: file is made if it is not there")
      ->type_name("DISK")
      ->required();
  command->add_flag("--json", options->json, "As JSON, without a progress bar");
  command->footer(
      "Runs of zeroes become holes where the target can have them. The target is flushed at the "
      "end.\n"
      "Examples:\n"
      "  splitring cp raw:a.img raw:b.img\n"
      "  splitring cp vbd:xvda raw:/srv/backup.img");
  runs(*command, session, options, copy);
}

}  // namespace splitring::tools
