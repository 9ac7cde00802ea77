// splitring crunch: a directory as something to compile into a program.
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <filesystem>

#include "base/parse.h"
#include "base/unique_fd.h"
#include "kv/key.h"
#include "tools/splitring/command.h"
#include "tools/splitring/crunch_output.h"

namespace splitring::tools {
namespace {

struct CrunchOptions {
  std::string directory;
  std::string output;
  std::string name;
};

// A file that is there, whole, after commit(), and not at all without.
class OutputFile {
 public:
  explicit OutputFile(std::string path) : path_(std::move(path)), temporary_(path_ + ".XXXXXX") {}
  ~OutputFile() {
    if (fd_) ::unlink(temporary_.c_str());
  }
  OutputFile(const OutputFile&) = delete;
  OutputFile& operator=(const OutputFile&) = delete;

  Result<> open() {
    fd_ = UniqueFd(::mkostemp(temporary_.data(), O_CLOEXEC));
    if (!fd_) return fail_errno(path_, errno);
    return {};
  }
  Result<> write(std::span<const std::byte> bytes) {
    while (!bytes.empty()) {
      const ssize_t written = ::write(fd_.get(), bytes.data(), bytes.size());
      if (written < 0 && errno == EINTR) continue;
      if (written < 0) return fail_errno(path_, errno);
      bytes = bytes.subspan(static_cast<size_t>(written));
    }
    return {};
  }
  Result<> commit() {
    const mode_t mask = ::umask(0);
    ::umask(mask);
    if (::fchmod(fd_.get(), 0666 & ~mask) != 0 || ::rename(temporary_.c_str(), path_.c_str()) != 0)
      return fail_errno(path_, errno);
    fd_.reset();
    return {};
  }

 private:
  const std::string path_;
  std::string temporary_;
  UniqueFd fd_;
};

// https://reproducible-builds.org/specs/source-date-epoch/
Result<std::optional<int64_t>> source_date_epoch() {
  const char* const text = std::getenv("SOURCE_DATE_EPOCH");
  if (text == nullptr) return std::optional<int64_t>();
  const auto seconds = parse_decimal(text, INT64_MAX);
  if (!seconds) return fail(Errc::kInvalid, "SOURCE_DATE_EPOCH: not a number of seconds");
  return std::optional(static_cast<int64_t>(*seconds));
}

// What was made would be part of what is made next time.
Result<> refuse_output_inside(const CrunchOptions& options) {
  namespace fs = std::filesystem;
  std::error_code error;
  const fs::path directory = fs::weakly_canonical(options.directory, error);
  const fs::path output = fs::weakly_canonical(fs::absolute(options.output, error), error);
  const auto [end, rest] =
      std::mismatch(directory.begin(), directory.end(), output.begin(), output.end());
  if (!error && end == directory.end())
    return fail(Errc::kInvalid, options.output + " lies in " + options.directory +
                                    " and would be part of it; write it somewhere else");
  return {};
}

Result<std::string> symbol_name(const CrunchOptions& options) {
  if (!options.name.empty()) return options.name;
  const std::string stem = std::filesystem::path(options.output).stem();
  if (is_identifier(stem)) return stem;
  return fail(Errc::kInvalid,
              kv::printable_key(stem) + " is no name for a variable; choose one with --name");
}

Result<> crunch(const Session&, const CrunchOptions& options) {
  const std::string name = TRY(symbol_name(options));
  TRY_VOID(refuse_output_inside(options));
  const CrunchTree tree = TRY(CrunchTree::open(options.directory));
  const auto layout = kv::lay_out(TRY(tree.walk(TRY(source_date_epoch()))));
  OutputFile file(options.output);
  TRY_VOID(file.open());
  const auto write = options.output.ends_with(".o") ? write_object : write_source;
  TRY_VOID(write(tree, layout, name,
                 [&](std::span<const std::byte> bytes) { return file.write(bytes); }));
  return file.commit();
}

std::string check_output(const std::string& path) {
  if (path.ends_with(".cc") || path.ends_with(".o")) return {};
  return "must end in .cc (C++ source) or .o (an object to link)";
}

std::string check_name(const std::string& name) {
  return is_identifier(name) ? std::string() : "must be a C++ identifier";
}

}  // namespace

bool is_identifier(const std::string& name) {
  constexpr std::string_view kLetters =
      "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz_0123456789";
  return !name.empty() && name.find_first_not_of(kLetters) == std::string::npos &&
         kLetters.find(name[0]) < kLetters.find('0');
}

void add_crunch_command(CLI::App& program, Session& session) {
  auto options = std::make_shared<CrunchOptions>();
  CLI::App* command =
      program.add_subcommand("crunch", "Make of a directory something to compile into a program");
  command->add_option("directory", options->directory, "The directory")
      ->type_name("DIR")
      ->required();
  command->add_option("-o,--output", options->output, "FILE.cc (C++ source) or FILE.o (an object)")
      ->type_name("FILE")
      ->check(CLI::Validator(check_output, "", ""))
      ->required();
  command->add_option("--name", options->name, "Its variable (default: as FILE is called)")
      ->type_name("NAME")
      ->check(CLI::Validator(check_name, "", ""));
  command->footer(
      "The same contents make the same bytes; equal files are kept once. Times are those of\n"
      "SOURCE_DATE_EPOCH, or unknown. kv/compiled_store.h reads it.\n"
      "Examples:\n"
      "  splitring crunch site -o site.cc && g++ -c site.cc\n"
      "  splitring crunch site -o build/site.o --name built_in_site");
  runs(*command, session, options, crunch);
}

}  // namespace splitring::tools
