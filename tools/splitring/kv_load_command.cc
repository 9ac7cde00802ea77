// splitring kv load, dump: a tree as a file of records.
#include <sys/stat.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <functional>
#include <map>

#include "base/parse.h"
#include "kv/tree/session.h"
#include "tools/splitring/json_output.h"
#include "tools/splitring/kv_records.h"
#include "tools/splitring/kv_session.h"
#include "tools/splitring/kv_text.h"
#include "tools/splitring/progress_bar.h"

namespace splitring::tools {
namespace {

// Of one transaction, whichever comes first.
constexpr size_t kBatchBytes = size_t{4} << 20;
constexpr size_t kPieceBytes = size_t{1} << 20;

const std::map<std::string, RecordFormat> kFormats = {{"lines", RecordFormat::kLines},
                                                      {"cdb", RecordFormat::kCdb}};

struct CloseFile {
  void operator()(std::FILE* file) const noexcept { std::fclose(file); }
};
using OwnedFile = std::unique_ptr<std::FILE, CloseFile>;

Result<OwnedFile> open_file(const std::string& path, const char* mode) {
  OwnedFile file(std::fopen(path.c_str(), mode));
  if (file == nullptr) return fail_errno(path, errno);
  return file;
}

// Of a regular file; 0: who knows.
uint64_t size_of(std::FILE* file) {
  struct stat about {};
  if (::fstat(::fileno(file), &about) != 0 || !S_ISREG(about.st_mode)) return 0;
  return static_cast<uint64_t>(about.st_size);
}

struct LoadOptions {
  KvChoice choice;
  RecordFormat format = RecordFormat::kLines;
  std::string file;
  uint64_t batch = 1000;
  bool relaxed = false;
  bool json = false;
};

// Gathers records and commits them, so many at a time.
class Loader {
 public:
  using Progress = std::function<void(uint64_t bytes)>;
  Loader(kv::Session& session, const LoadOptions& options, Progress progress)
      : session_(session), options_(options), progress_(std::move(progress)) {}

  Result<> load(RecordReader& reader) {
    TRY_VOID(session_.with_tx([&](kv::Transaction& tx) -> Result<> {
      tree_ = TRY(tx.create_tree(options_.choice.tree));
      return {};
    }));
    while (TRY(reader.next())) {
      gathered_bytes_ += reader.key().size();
      if (reader.is_long())
        TRY_VOID(take_long(reader));
      else
        take_short(reader);
      if (gathered_.size() >= options_.batch || gathered_bytes_ >= kBatchBytes) TRY_VOID(commit());
    }
    TRY_VOID(commit());
    return session_.sync();
  }
  [[nodiscard]] uint64_t keys() const { return keys_; }
  [[nodiscard]] uint64_t bytes() const { return bytes_; }

 private:
  struct Record {
    std::string key;
    std::string value;
    std::optional<kv::StagedValue> staged;
  };
  void take_short(const RecordReader& reader) {
    gathered_.push_back({reader.key(), reader.value(), {}});
    gathered_bytes_ += reader.value().size();
  }
  Result<> take_long(RecordReader& reader) {
    Record record{reader.key(), {}, {}};
    record.staged.emplace(TRY(session_.stage([&](std::span<std::byte> out) -> Result<size_t> {
      const size_t count = TRY(reader.read_value(out));
      bytes_ += count;
      progress_(bytes_);
      return count;
    })));
    gathered_.push_back(std::move(record));
    return {};
  }
  Result<> commit() {
    if (gathered_.empty()) return {};
    const int64_t now = now_s();
    const auto durability = options_.relaxed ? kv::Durability::kRelaxed : kv::Durability::kDurable;
    TRY_VOID(session_.with_tx(
        [&](kv::Transaction& tx) -> Result<> {
          for (Record& record : gathered_) {
            if (record.staged)
              TRY_VOID(tx.put_staged(tree_, record.key, std::move(*record.staged), now));
            else
              TRY_VOID(tx.put(tree_, record.key, record.value, now));
          }
          return {};
        },
        durability));
    keys_ += gathered_.size();
    bytes_ += gathered_bytes_;
    progress_(bytes_);
    gathered_.clear();
    gathered_bytes_ = 0;
    return {};
  }

  kv::Session& session_;
  const LoadOptions& options_;
  Progress progress_;
  kv::TreeId tree_{};
  std::vector<Record> gathered_;
  size_t gathered_bytes_ = 0;
  uint64_t keys_ = 0;
  uint64_t bytes_ = 0;
};

Result<> load(const Session& session, const LoadOptions& options) {
  OwnedFile file;
  if (!options.file.empty()) file = TRY(open_file(options.file, "rb"));
  const auto kv = TRY(open_kv(session, options.choice, KvAccess::kWrite));
  ProgressBar bar(!options.json);
  std::FILE* const input = file ? file.get() : stdin;
  const uint64_t total = size_of(input);
  RecordReader reader(input, options.format);
  Loader loader(*kv->session, options,
                [&](uint64_t bytes) { bar.show(std::min(bytes, total), total); });
  const auto done = loader.load(reader);
  bar.clear();
  if (!done)
    return fail(done.error().code, done.error().what + " (" + std::to_string(loader.keys()) +
                                       " keys before it were loaded)");
  // So that whoever opens it next has nothing to replay.
  kv->session.reset();
  TRY_VOID(kv->store->close());
  if (options.json)
    print_json({{"keys", loader.keys()}, {"bytes", loader.bytes()}});
  else
    std::printf("loaded %llu keys, %s\n", static_cast<unsigned long long>(loader.keys()),
                format_bytes(loader.bytes()).c_str());
  return {};
}

struct DumpOptions {
  KvChoice choice;
  TypedKeys keys;
  TypedRange range;
  RecordFormat format = RecordFormat::kLines;
  std::string file;
};

class Dumper {
 public:
  Dumper(kv::View& view, kv::TreeId tree, RecordFormat format, std::FILE* to)
      : view_(view), tree_(tree), format_(format), to_(to) {}

  Result<> dump(const kv::KeyRange& range) {
    kv::TreeCursor cursor = view_.cursor(tree_, range);
    for (bool more = TRY(cursor.first()); more; more = TRY(cursor.next())) TRY_VOID(record(cursor));
    if (format_ == RecordFormat::kCdb) TRY_VOID(write_output(to_, "\n"));
    return flush_output(to_);
  }

 private:
  Result<> record(const kv::TreeCursor& cursor) {
    const uint64_t size = TRY(view_.item(cursor)).size;
    const std::string_view key = cursor.key();
    if (format_ == RecordFormat::kCdb)
      TRY_VOID(write_output(to_, "+" + std::to_string(key.size()) + "," + std::to_string(size) +
                                     ":" + std::string(key) + "->"));
    else
      TRY_VOID(write_output(to_, escaped(key) + "\t"));
    if (size <= kMaxWholeValue) {
      TRY_VOID(view_.value(cursor, value_));
      TRY_VOID(write_value(value_));
    } else {
      TRY_VOID(stream_value(std::string(key), size));
    }
    return write_output(to_, "\n");
  }
  Result<> stream_value(const std::string& key, uint64_t size) {
    value_.resize(kPieceBytes);
    for (uint64_t at = 0; at < size;) {
      const size_t count =
          TRY(view_.read(tree_, key, at, std::as_writable_bytes(std::span(value_))));
      if (count == 0) return fail(Errc::kIo, escaped(key) + ": its value is shorter than it says");
      TRY_VOID(write_value(std::string_view(value_).substr(0, count)));
      at += count;
    }
    return {};
  }
  Result<> write_value(std::string_view bytes) {
    if (format_ == RecordFormat::kCdb) return write_output(to_, bytes);
    return write_output(to_, escaped(bytes));
  }

  kv::View& view_;
  const kv::TreeId tree_;
  const RecordFormat format_;
  std::FILE* const to_;
  std::string value_;
};

Result<> dump(const Session& session, const DumpOptions& options) {
  const kv::KeyRange range = TRY(options.range.range(options.keys));
  const auto kv = TRY(open_kv(session, options.choice, KvAccess::kRead));
  kv::View view = TRY(view_of(*kv, options.choice));
  const kv::TreeId tree = TRY(view.tree(options.choice.tree));
  OwnedFile file;
  if (!options.file.empty()) file = TRY(open_file(options.file, "wb"));
  return Dumper(view, tree, options.format, file ? file.get() : stdout).dump(range);
}

void add_format_option(CLI::App& command, RecordFormat& format) {
  command
      .add_option("--format", format, "lines: KEY TAB VALUE with escapes; cdb: lengths and bytes")
      ->transform(CLI::CheckedTransformer(kFormats).description(""))
      ->type_name("lines|cdb");
}

}  // namespace

void add_kv_load_commands(CLI::App& kv, Session& session) {
  auto loaded = std::make_shared<LoadOptions>();
  CLI::App* load_command = kv.add_subcommand("load", "Store the records of a file");
  add_store_option(*load_command, loaded->choice);
  load_command->add_option("-f,--file", loaded->file, "The file (standard input)")
      ->type_name("FILE");
  add_format_option(*load_command, loaded->format);
  load_command->add_option("--batch", loaded->batch, "Records of one transaction (1000)")
      ->type_name("N")
      ->check(CLI::Range(1, 1'000'000));
  load_command->add_flag("--relaxed", loaded->relaxed,
                         "Durable at the end, not after every transaction");
  add_tree_option(*load_command, loaded->choice);
  load_command->add_flag("--json", loaded->json, "As JSON, without a progress bar");
  runs(*load_command, session, loaded, load);

  auto dumped = std::make_shared<DumpOptions>();
  CLI::App* dump_command = kv.add_subcommand("dump", "Write a tree as records, in order");
  add_store_option(*dump_command, dumped->choice);
  dump_command->add_option("-f,--file", dumped->file, "The file (standard output)")
      ->type_name("FILE");
  add_format_option(*dump_command, dumped->format);
  add_range_options(*dump_command, dumped->range);
  add_tree_option(*dump_command, dumped->choice);
  add_snapshot_option(*dump_command, dumped->choice);
  add_escapes_option(*dump_command, dumped->keys);
  runs(*dump_command, session, dumped, dump);
}

}  // namespace splitring::tools
