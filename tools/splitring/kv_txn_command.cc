// splitring kv txn: a script of changes and conditions, applied all or nothing.
#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdio>
#include <fstream>
#include <iostream>

#include "kv/tree/session.h"
#include "tools/splitring/kv_session.h"
#include "tools/splitring/kv_text.h"

namespace splitring::tools {
namespace {

// What a script may gather before it is applied: it is one transaction.
constexpr size_t kMaxScriptBytes = size_t{256} << 20;
constexpr size_t kMaxOutputBytes = size_t{64} << 20;

struct TxnOptions {
  KvChoice choice;
  std::string file;
};

enum class Verb : uint8_t { kTree, kGet, kPut, kRemove, kCheck, kAbsent };

struct VerbForm {
  std::string_view name;
  Verb verb;
  bool has_value;
};
constexpr std::array kVerbs = {
    VerbForm{"tree", Verb::kTree, false},  VerbForm{"get", Verb::kGet, false},
    VerbForm{"put", Verb::kPut, true},     VerbForm{"rm", Verb::kRemove, false},
    VerbForm{"check", Verb::kCheck, true}, VerbForm{"absent", Verb::kAbsent, false}};

struct Step {
  Verb verb = Verb::kGet;
  std::string key;
  std::string value;
  size_t line = 0;
};

std::string_view take_word(std::string_view& text) {
  const size_t end = std::min(text.find_first_of(" \t"), text.size());
  const std::string_view word = text.substr(0, end);
  text.remove_prefix(std::min(end + 1, text.size()));
  return word;
}

// VERB KEY [VALUE]: a blank or tab between them; the value is all that follows.
Result<Step> parse_step(std::string_view text, size_t line) {
  const std::string_view verb = take_word(text);
  const auto* const form =
      std::find_if(kVerbs.begin(), kVerbs.end(), [&](const VerbForm& f) { return f.name == verb; });
  if (form == kVerbs.end())
    return fail(Errc::kInvalid, "a line begins with get, put, rm, check, absent or tree");
  Step step{form->verb, TRY(unescaped(take_word(text))), {}, line};
  if (form->has_value)
    step.value = TRY(unescaped(text));
  else if (!text.empty())
    return fail(Errc::kInvalid, "something follows the key; blanks in a key are written \\x20");
  return step;
}

Result<std::vector<Step>> read_script(std::istream& input) {
  std::vector<Step> steps;
  size_t bytes = 0;
  std::string text;
  for (size_t line = 1; std::getline(input, text); line++) {
    bytes += text.size();
    if (bytes > kMaxScriptBytes)
      return fail(Errc::kLimit, "the script is longer than 256 MiB; `load` takes more");
    if (text.empty() || text[0] == '#') continue;
    auto step = parse_step(text, line);
    if (!step) return fail_within("line " + std::to_string(line), step.error());
    steps.push_back(std::move(*step));
  }
  if (input.bad()) return fail_errno("reading the script", errno);
  return steps;
}

class Script {
 public:
  explicit Script(const std::vector<Step>& steps) : steps_(steps) {}

  Result<> apply(kv::Transaction& tx, const std::string& tree_name) {
    output_.clear();
    kv::TreeId tree = TRY(tx.create_tree(tree_name));
    for (const Step& step : steps_) {
      if (step.verb == Verb::kTree)
        tree = TRY(tx.create_tree(step.key));
      else if (const auto done = apply(tx, tree, step); !done)
        return fail_within("line " + std::to_string(step.line), done.error());
    }
    return {};
  }
  // Of the gets: key, tab, value; a key alone that is not there.
  [[nodiscard]] const std::string& output() const { return output_; }

 private:
  Result<> apply(kv::Transaction& tx, kv::TreeId tree, const Step& step) {
    switch (step.verb) {
      case Verb::kPut: return tx.put(tree, step.key, step.value, now_s());
      case Verb::kRemove: return tx.remove(tree, step.key);
      case Verb::kGet: return show(step.key, TRY(tx.get(tree, step.key)));
      case Verb::kAbsent:
        if (!TRY(tx.find(tree, step.key))) return {};
        return fail(Errc::kConflict, escaped(step.key) + " is there; nothing was changed");
      case Verb::kCheck: {
        const auto value = TRY(tx.get(tree, step.key));
        if (value == step.value) return {};
        return fail(Errc::kConflict, escaped(step.key) +
                                         (value ? " has another value" : " is not there") +
                                         "; nothing was changed");
      }
      case Verb::kTree: break;
    }
    return {};
  }
  Result<> show(const std::string& key, const std::optional<std::string>& value) {
    append_escaped(output_, key);
    if (value) {
      output_ += '\t';
      append_escaped(output_, *value);
    }
    output_ += '\n';
    if (output_.size() > kMaxOutputBytes)
      return fail(Errc::kLimit, "more than 64 MiB of values are asked for; `get` streams one");
    return {};
  }

  const std::vector<Step>& steps_;
  std::string output_;
};

Result<> txn(const Session& session, const TxnOptions& options) {
  std::ifstream file;
  if (!options.file.empty()) {
    file.open(options.file);
    if (!file) return fail_errno(options.file, errno);
  }
  const std::vector<Step> steps = TRY(read_script(options.file.empty() ? std::cin : file));
  const auto kv = TRY(open_kv(session, options.choice, KvAccess::kWrite));
  Script script(steps);
  TRY_VOID(kv->session->with_tx(
      [&](kv::Transaction& tx) { return script.apply(tx, options.choice.tree); }));
  TRY_VOID(write_output(stdout, script.output()));
  return flush_output(stdout);
}

}  // namespace

void add_kv_txn_command(CLI::App& kv, Session& session) {
  auto options = std::make_shared<TxnOptions>();
  CLI::App* command =
      kv.add_subcommand("txn", "Apply a script as one transaction, all of it or nothing");
  add_store_option(*command, options->choice);
  command->add_option("-f,--file", options->file, "The script (standard input)")->type_name("FILE");
  add_tree_option(*command, options->choice);
  command->footer(
      "Lines, with \\\\ \\t \\n \\r \\xNN for what they could not hold; # begins a comment:\n"
      "  put KEY VALUE    get KEY    rm KEY    tree NAME (for what follows)\n"
      "  check KEY VALUE  nothing is changed unless it has that value\n"
      "  absent KEY       nothing is changed unless it is not there\n"
      "Example:\n"
      "  printf 'check balance 10\\nput balance 9\\n' | splitring kv txn raw:accounts.img");
  runs(*command, session, options, txn);
}

}  // namespace splitring::tools
