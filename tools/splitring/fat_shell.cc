// splitring fat shell: commands upon a volume that stays mounted, from a terminal or a script.
#include <unistd.h>

#include <cstdio>
#include <ctime>
#include <iostream>
#include <map>

#include "tools/splitring/fat_session.h"

namespace splitring::tools {
namespace {

struct ShellOptions {
  std::string disk;
  bool read_only = false;
};

// Words between spaces; quotes hold together what has spaces.
std::vector<std::string> words_of(const std::string& line) {
  std::vector<std::string> words;
  char quote = 0;
  bool inside = false;
  for (const char c : line) {
    if (quote != 0 ? c == quote : (c == '"' || c == '\'')) {
      quote = quote == 0 ? c : '\0';
      if (!inside) words.emplace_back();
      inside = true;
    } else if (quote == 0 && (c == ' ' || c == '\t')) {
      inside = false;
    } else {
      if (!inside) words.emplace_back();
      inside = true;
      words.back().push_back(c);
    }
  }
  return words;
}

class FatShell {
 public:
  explicit FatShell(OpenFat& fat) : user_(*fat.volume, *fat.lane), fat_(fat) {}

  // Returns whether every command did what it should.
  bool run() {
    const bool interactive = ::isatty(STDIN_FILENO) == 1;
    bool good = true;
    std::string line;
    while (prompt(interactive), std::getline(std::cin, line)) {
      const std::vector<std::string> words = words_of(line);
      if (words.empty() || words[0].starts_with('#')) continue;
      if (words[0] == "exit" || words[0] == "quit") break;
      if (const auto done = obey(words); !done) {
        std::cout.flush();
        std::fprintf(stderr, "%s: %s\n", printable(words[0]).c_str(),
                     printable(done.error().what).c_str());
        good = false;
      }
    }
    return good;
  }

 private:
  void prompt(bool interactive) const {
    if (interactive) std::cout << "/" << printable(where_) << "> " << std::flush;
  }

  // A path as it is typed, from the root. Dots are taken off here, as a shell does.
  [[nodiscard]] std::string path(const std::string& typed) const {
    std::string whole = typed.starts_with('/') ? typed : where_ + "/" + typed;
    std::vector<std::string> parts;
    for (whole = fat_path(whole); !whole.empty();) {
      const size_t end = std::min(whole.find('/'), whole.size());
      const std::string part = whole.substr(0, end);
      whole.erase(0, std::min(end + 1, whole.size()));
      if (part == ".." && !parts.empty()) parts.pop_back();
      if (part != "." && part != "..") parts.push_back(part);
    }
    std::string out;
    for (const std::string& part : parts) out += (out.empty() ? "" : "/") + part;
    return out;
  }

  Result<> show(const std::string& where) {
    return user_.list(where, false, [](const std::string& found, const FatEntry& entry) {
      std::cout << fat_listing(fat_name_of(found), entry.stat) << "\n";
    });
  }

  Result<> print(const std::string& file) {
    return user_.read(file, [](std::span<const std::byte> bytes) -> Result<> {
      std::cout.write(reinterpret_cast<const char*>(bytes.data()),
                      static_cast<std::streamsize>(bytes.size()));
      return {};
    });
  }

  Result<> go(const std::string& to) {
    if (!TRY(user_.stat(to)).is_directory) return fail(Errc::kInvalid, to + " is a file");
    where_ = to;
    return {};
  }

  // Without marks among the words, shows those that the paths have.
  Result<> attr(const std::vector<std::string>& words) {
    std::vector<std::string> paths;
    std::vector<std::string> marks;
    for (const std::string& word : std::span(words).subspan(1))
      (is_fat_marks(word) ? marks : paths).push_back(word);
    const FatMarkChange change = TRY(parse_fat_marks(marks));
    if (paths.empty()) return fail(Errc::kInvalid, "say whose marks");
    for (const std::string& each : paths) {
      if (!marks.empty())
        TRY_VOID(user_.change_marks(path(each), change, false));
      else
        std::cout << fat_listing(each, TRY(user_.stat(path(each)))) << "\n";
    }
    return {};
  }

  Result<> obey(const std::vector<std::string>& words) {
    using Act = std::function<Result<>(const std::vector<std::string>&)>;
    struct Verb {
      size_t least;
      size_t most;
      const char* form;
      Act act;
    };
    using W = const std::vector<std::string>&;
    const auto at = [this](W w, size_t i) { return path(i < w.size() ? w[i] : "."); };
    const std::map<std::string, Verb> verbs{
        {"ls", {0, 1, "[PATH]", [&](W w) { return show(at(w, 1)); }}},
        {"cd", {0, 1, "[PATH]", [&](W w) { return go(w.size() > 1 ? at(w, 1) : ""); }}},
        {"pwd",
         {0, 0, "",
          [&](W) -> Result<> {
            std::cout << "/" << printable(where_) << "\n";
            return {};
          }}},
        {"cat", {1, 1, "FILE", [&](W w) { return print(at(w, 1)); }}},
        {"get",
         {1, 2, "PATH [HOST-PATH]",
          [&](W w) { return user_.copy_out(at(w, 1), w.size() > 2 ? w[2] : ".", false); }}},
        {"put", {1, 2, "HOST-PATH [PATH]", [&](W w) { return user_.copy_in(w[1], at(w, 2)); }}},
        {"mkdir", {1, 1, "PATH", [&](W w) { return user_.make_directory(at(w, 1), false); }}},
        {"rm", {1, 1, "FILE", [&](W w) { return user_.remove(at(w, 1), false); }}},
        {"deltree", {1, 1, "PATH", [&](W w) { return user_.remove(at(w, 1), true); }}},
        {"mv", {2, 2, "FROM TO", [&](W w) { return user_.move(at(w, 1), at(w, 2)); }}},
        {"cp", {2, 2, "FROM TO", [&](W w) { return user_.copy(at(w, 1), at(w, 2)); }}},
        {"touch",
         {1, 1, "PATH",
          [&](W w) {
            return user_.touch(at(w, 1), {std::time(nullptr), 0});
          }}},
        {"attr", {1, SIZE_MAX, "PATH... [+h -a ...]", [&](W w) { return attr(w); }}},
        {"sync", {0, 0, "", [&](W) { return fat_.volume->sync(*fat_.lane); }}},
    };
    if (words[0] == "help") {
      for (const auto& [name, verb] : verbs) std::cout << name << " " << verb.form << "\n";
      std::cout << "exit\n";
      return {};
    }
    const auto verb = verbs.find(words[0]);
    if (verb == verbs.end()) return fail(Errc::kInvalid, "no such command; `help` lists them");
    if (words.size() - 1 < verb->second.least || words.size() - 1 > verb->second.most)
      return fail(Errc::kInvalid, "write " + words[0] + " " + verb->second.form);
    return verb->second.act(words);
  }

  FatUser user_;
  OpenFat& fat_;
  std::string where_;
};

Result<> shell(const Session& session, const ShellOptions& options) {
  const auto fat = TRY(open_fat(session, options.disk, options.read_only));
  const bool good = FatShell(*fat).run();
  std::cout.flush();
  TRY_VOID(fat->volume->close(*fat->lane));
  return good ? Result<>{} : fail(Errc::kInvalid, "a command failed");
}

}  // namespace

void add_fat_shell_command(CLI::App& fat, Session& session) {
  auto options = std::make_shared<ShellOptions>();
  CLI::App* command =
      fat.add_subcommand("shell", "Take commands from standard input (`help` lists them)");
  add_fat_disk(*command, options->disk);
  command->add_flag("--read-only", options->read_only, "Change nothing");
  runs(*command, session, options, shell);
}

}  // namespace splitring::tools
