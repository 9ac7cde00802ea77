#include "blkimage/disk_uri.h"

#include <algorithm>

#include "base/parse.h"
#include "blkimage/memory_disk.h"
#include "blkimage/partition_table.h"
#include "blkimage/raw_image.h"
#include "blkimage/read_only_device.h"

namespace splitring {
namespace {

// A path of PATH_MAX and generous options.
constexpr size_t kMaxUriBytes = 8192;

bool is_scheme(std::string_view text) {
  return !text.empty() && text.front() >= 'a' && text.front() <= 'z' &&
         std::ranges::all_of(text, [](char c) {
           return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-' || c == '+';
         });
}

Result<std::vector<DiskUri::Option>> parse_options(std::string_view text) {
  std::vector<DiskUri::Option> options;
  while (true) {
    const size_t end = std::min(text.find('&'), text.size());
    const std::string_view part = text.substr(0, end);
    const size_t equals = part.find('=');
    if (equals == std::string_view::npos || equals == 0)
      return fail(Errc::kInvalid, "'" + std::string(part) + "' is not an option: write NAME=VALUE");
    const std::string name(part.substr(0, equals));
    if (std::ranges::any_of(options, [&](const auto& option) { return option.name == name; }))
      return fail(Errc::kInvalid, "option '" + name + "' is given twice");
    options.push_back({name, std::string(part.substr(equals + 1))});
    if (end == text.size()) return options;
    text.remove_prefix(end + 1);
  }
}

// The number behind the last '#', if only digits follow it.
Result<uint32_t> take_partition(std::string& target) {
  const size_t hash = target.rfind('#');
  if (hash == std::string::npos) return 0U;
  const std::string_view digits = std::string_view(target).substr(hash + 1);
  if (digits.empty() || !std::ranges::all_of(digits, [](char c) { return c >= '0' && c <= '9'; }))
    return 0U;
  const auto number = parse_decimal(digits, kMostPartitions);
  if (!number || *number == 0)
    return fail(Errc::kInvalid,
                target + ": partitions have the numbers 1 to " + std::to_string(kMostPartitions));
  target.resize(hash);
  return static_cast<uint32_t>(*number);
}

Result<uint32_t> choose_block_size(UriOptions& options, uint32_t otherwise) {
  const auto block = TRY(options.choose("block", {"512", "4096"}));
  if (!block) return otherwise;
  return *block == 0 ? 512U : 4096U;
}

Result<std::unique_ptr<BlockDevice>> open_raw(const DiskUri& uri, const OpenOptions& open) {
  UriOptions options(uri);
  RawOptions raw;
  if (const auto direct = TRY(options.choose("direct", {"on", "off", "auto"})))
    raw.direct = *direct == 0   ? RawOptions::Direct::kOn
                 : *direct == 1 ? RawOptions::Direct::kOff
                                : RawOptions::Direct::kAuto;
  const auto mode = TRY(options.choose("mode", {"r", "w"}));
  raw.read_only = open.read_only || (mode && *mode == 0);
  raw.logical_block_bytes = TRY(choose_block_size(options, raw.logical_block_bytes));
  raw.discard = TRY(options.on_off("discard", raw.discard));
  raw.lock = TRY(options.on_off("lock", raw.lock));
  TRY_VOID(options.all_taken());
  return TRY(RawImage::open(uri.target, raw));
}

Result<std::unique_ptr<BlockDevice>> open_memory(const DiskUri& uri, const OpenOptions& open) {
  UriOptions options(uri);
  MemoryOptions memory;
  memory.logical_block_bytes = TRY(choose_block_size(options, memory.logical_block_bytes));
  TRY_VOID(options.all_taken());
  const uint64_t bytes = TRY(parse_size(uri.target));
  if (bytes % kSectorSize != 0)
    return fail(Errc::kInvalid, "the size is not a multiple of 512 bytes");
  std::unique_ptr<BlockDevice> disk = TRY(MemoryDisk::create(Sectors::from_bytes(bytes), memory));
  if (open.read_only) return make_read_only(std::move(disk));
  return disk;
}

}  // namespace

Result<DiskUri> parse_disk_uri(std::string_view text) {
  if (text.size() > kMaxUriBytes) return fail(Errc::kInvalid, "a disk's name of absurd length");
  if (std::ranges::any_of(text,
                          [](char c) { return static_cast<unsigned char>(c) < 0x20 || c == 0x7f; }))
    return fail(Errc::kInvalid, "a disk's name must not contain control characters");
  const size_t colon = text.find(':');
  if (colon == std::string_view::npos || !is_scheme(text.substr(0, colon)))
    return fail(Errc::kInvalid, "'" + std::string(text) +
                                    "' does not say what it is: for a file or a block device, "
                                    "write raw:PATH");
  DiskUri uri{
      .scheme = std::string(text.substr(0, colon)), .target = {}, .partition = 0, .options = {}};
  const std::string_view rest = text.substr(colon + 1);
  const size_t question = rest.find('?');
  uri.target = rest.substr(0, question);
  uri.partition = TRY(take_partition(uri.target));
  if (uri.target.empty())
    return fail(Errc::kInvalid, "'" + std::string(text) + "': nothing follows the colon");
  if (question != std::string_view::npos)
    uri.options = TRY(parse_options(rest.substr(question + 1)));
  return uri;
}

const std::string* UriOptions::take(std::string_view name, std::string_view form) {
  known_.append(known_.empty() ? "" : ", ").append(name).append("=").append(form);
  const auto& options = uri_.options;
  const auto found = std::ranges::find(options, name, &DiskUri::Option::name);
  if (found == options.end()) return nullptr;
  taken_[static_cast<size_t>(found - options.begin())] = true;
  return &found->value;
}

Result<std::optional<size_t>> UriOptions::choose(std::string_view name,
                                                 std::initializer_list<std::string_view> choices) {
  std::string form;
  for (const std::string_view choice : choices) form.append(form.empty() ? "" : "|").append(choice);
  const std::string* value = take(name, form);
  if (value == nullptr) return std::optional<size_t>{};
  const auto* const choice = std::ranges::find(choices, std::string_view(*value));
  if (choice == choices.end())
    return fail(Errc::kInvalid,
                std::string(name) + "=" + *value + ": write " + std::string(name) + "=" + form);
  return static_cast<size_t>(choice - choices.begin());
}

Result<std::optional<uint64_t>> UriOptions::number(std::string_view name, uint64_t least,
                                                   uint64_t most) {
  const std::string form = std::to_string(least) + ".." + std::to_string(most);
  const std::string* value = take(name, form);
  if (value == nullptr) return std::optional<uint64_t>{};
  const auto parsed = parse_decimal(*value, most);
  if (!parsed || *parsed < least)
    return fail(Errc::kInvalid,
                std::string(name) + "=" + *value + ": write " + std::string(name) + "=" + form);
  return parsed;
}

Result<bool> UriOptions::on_off(std::string_view name, bool otherwise) {
  const auto choice = TRY(choose(name, {"on", "off"}));
  return choice ? *choice == 0 : otherwise;
}

Result<> UriOptions::all_taken() const {
  const auto left = std::ranges::find(taken_, false);
  if (left == taken_.end()) return {};
  const auto& option = uri_.options[static_cast<size_t>(left - taken_.begin())];
  return fail(Errc::kInvalid, "no option '" + option.name + "' for " + uri_.scheme + ": " +
                                  (known_.empty() ? "it takes none" : "it takes " + known_));
}

DiskSchemes DiskSchemes::images() {
  DiskSchemes schemes;
  schemes.add("raw", "raw:PATH", open_raw);
  schemes.add("mem", "mem:SIZE", open_memory);
  return schemes;
}

void DiskSchemes::add(std::string scheme, std::string form, Factory factory) {
  std::erase_if(entries_, [&](const Entry& entry) { return entry.scheme == scheme; });
  entries_.push_back({std::move(scheme), std::move(form), std::move(factory)});
}

std::string DiskSchemes::known_forms() const {
  std::string forms;
  for (const Entry& entry : entries_) forms.append(forms.empty() ? "" : ", ").append(entry.form);
  return forms;
}

Result<std::unique_ptr<BlockDevice>> DiskSchemes::open(std::string_view text,
                                                       const OpenOptions& options) const {
  const DiskUri uri = TRY(parse_disk_uri(text));
  const auto entry = std::ranges::find(entries_, uri.scheme, &Entry::scheme);
  if (entry == entries_.end())
    return fail(Errc::kInvalid, "no scheme '" + uri.scheme + ":' here; known: " + known_forms());
  auto device = entry->factory(uri, options);
  // Most messages of a disk name it already.
  if (!device && device.error().what.find(uri.target) == std::string::npos)
    return fail_within(std::string(text), std::move(device).error());
  if (!device || uri.partition == 0) return device;
  return open_partition(std::move(*device), uri.partition);
}

}  // namespace splitring
