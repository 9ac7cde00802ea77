#include "fs/tar/tar_scanner.h"

#include <algorithm>
#include <array>
#include <cstdio>
#include <utility>

#include "base/units.h"

namespace splitring {
namespace {

constexpr int kMaxHardLinkChain = 40;

// POSIX: these have no body, whatever their size field says (links and directories may carry the
// size of something else there).
bool has_no_body(char type) { return type >= '1' && type <= '6'; }

bool is_extended_header(char type) {
  return type == 'x' || type == 'X' || type == 'g' || type == 'L' || type == 'K';
}

// About the archive, or the remains of other programs: no member of it.
bool is_ignored(char type) { return type == 'V' || type == 'N' || type == 'A'; }

TarKind kind_of(const TarHeader& header, std::string_view path) {
  switch (header.type) {
    case '1': return TarKind::kHardLink;
    case '2': return TarKind::kSymlink;
    case '3':
    case '4':
    case '6': return TarKind::kSpecial;
    case '5':
    case 'D': return TarKind::kDirectory;
    // V7 knows a directory by its slash. Unknown types are files, says POSIX.
    default: return path.ends_with('/') ? TarKind::kDirectory : TarKind::kFile;
  }
}

std::string_view up_to_nul(std::string_view text) { return text.substr(0, text.find('\0')); }

}  // namespace

std::string printable_name(std::string_view name) {
  constexpr size_t kMost = 200;
  std::string text;
  for (const char c : name.substr(0, kMost)) {
    if (c >= ' ' && c <= '~') {
      text += c;
    } else {
      std::array<char, 5> escape;
      std::snprintf(escape.data(), escape.size(), "\\x%02x", static_cast<unsigned char>(c));
      text += escape.data();
    }
  }
  if (name.size() > kMost) text += "...";
  return text;
}

Result<> TarScanner::run() {
  if (disk_.end() < kTarBlockBytes)
    return fail(Errc::kInvalid, "no tar archive: the disk is empty");
  Next next = Next::kGoOn;
  while (next == Next::kGoOn && in_range(offset_, kTarBlockBytes, disk_.end())) next = TRY(step());
  if (next == Next::kGoOn && (pending_.long_name || pending_.long_link || pending_.pax))
    notes_.add("the archive ends behind a long name or an extended header");
  resolve_late_hard_links();
  index_.shrink();
  return {};
}

TarScanner::Next TarScanner::stop(const std::string& why) {
  notes_.add(why + at() + "; the entries before it are served");
  return Next::kStop;
}

Result<TarScanner::Next> TarScanner::step() {
  const TarBlock block = TRY(disk_.block(offset_));
  if (is_zero_block(block)) return end_at_zero_block();
  const auto header = parse_tar_header(block);
  if (!header && offset_ == 0)
    return fail(Errc::kInvalid, "no tar archive: " + header.error().what + " at its beginning");
  if (!header) return stop(header.error().what);
  const uint64_t body = offset_ + kTarBlockBytes;
  if (header->type == 'S') {
    const uint64_t data = TRY(skip_sparse_maps(block, body));
    if (!in_range(data, header->size, disk_.end())) return stop("truncated sparse member");
    notes_.add("left out " + printable_name(header->name) + ": a sparse member");
    pending_ = {};
    offset_ = data + round_up(header->size, kTarBlockBytes);
    return Next::kGoOn;
  }
  return take_member(*header, body);
}

// Two of them end the archive; one alone, with more behind it, is damage.
Result<TarScanner::Next> TarScanner::end_at_zero_block() {
  const uint64_t second = offset_ + kTarBlockBytes;
  if (!in_range(second, kTarBlockBytes, disk_.end())) return Next::kStop;
  if (!is_zero_block(TRY(disk_.block(second)))) return stop("a lone zero block");
  return Next::kStop;
}

// Returns where the body begins. Each map takes a block of the disk, so its end bounds the loop.
Result<uint64_t> TarScanner::skip_sparse_maps(TarBlock header, uint64_t body) {
  bool more = sparse_header_continues(header);
  while (more && in_range(body, kTarBlockBytes, disk_.end())) {
    more = sparse_map_continues(TRY(disk_.block(body)));
    body += kTarBlockBytes;
  }
  return body;
}

Result<TarScanner::Next> TarScanner::take_member(const TarHeader& header, uint64_t body) {
  uint64_t size = has_no_body(header.type) ? 0 : header.size;
  if (!has_no_body(header.type) && !is_extended_header(header.type)) {
    if (global_.size) size = *global_.size;
    if (pending_.pax && pending_.pax->size) size = *pending_.pax->size;
  }
  if (!in_range(body, size, disk_.end()))
    return stop("truncated member " + printable_name(header.name));
  // The end of a disk is a multiple of a block, so rounding stays within it.
  const uint64_t next = body + round_up(size, kTarBlockBytes);
  if (is_extended_header(header.type)) {
    TRY_VOID(take_extended(header, body));
  } else if (!is_ignored(header.type)) {
    TRY_VOID(take_entry(header, body, size));
    pending_ = {};
  }
  offset_ = next;
  return Next::kGoOn;
}

// Precondition: the size is bounded by a constant of ours.
Result<std::string> TarScanner::payload(const TarHeader& header, uint64_t body) {
  std::string text;
  text.reserve(header.size);
  for (uint64_t done = 0; done < header.size; done += kTarBlockBytes) {
    const TarBlock block = TRY(disk_.block(body + done));
    const size_t part = std::min<uint64_t>(kTarBlockBytes, header.size - done);
    text.append(reinterpret_cast<const char*>(block.data()), part);
  }
  return text;
}

Result<> TarScanner::take_extended(const TarHeader& header, uint64_t body) {
  const bool is_gnu = header.type == 'L' || header.type == 'K';
  const bool too_long = header.size > (is_gnu ? kMaxTarPathBytes + 1 : kMaxPaxBytes);
  if (too_long) {
    if (header.type == 'g')
      notes_.add("a global extended header is too long and was ignored" + at());
    else
      pending_.refusal = is_gnu ? "name too long" : "extended header too long";
    return {};
  }
  std::string text = TRY(payload(header, body));
  if (header.type == 'L') {
    pending_.long_name = up_to_nul(text);
  } else if (header.type == 'K') {
    pending_.long_link = up_to_nul(text);
  } else {
    apply_pax(header.type, text);
  }
  return {};
}

void TarScanner::apply_pax(char type, std::string_view records) {
  if (type == 'g') {
    PaxFields fields = global_;
    if (const auto applied = apply_pax_records(records, fields); applied)
      global_ = std::move(fields);
    else
      notes_.add("a global extended header was ignored: " + applied.error().what + at());
    return;
  }
  // A second one adds to the first, as GNU tar has it.
  if (!pending_.pax) pending_.pax = global_;
  if (const auto applied = apply_pax_records(records, *pending_.pax); !applied)
    pending_.refusal = applied.error().what;
}

Result<> TarScanner::take_entry(const TarHeader& header, uint64_t body, uint64_t size) {
  const PaxFields& pax = pending_.pax ? *pending_.pax : global_;
  std::string joined;
  std::string_view path = header.name;
  if (!header.prefix.empty()) {
    joined.append(header.prefix).append("/").append(header.name);
    path = joined;
  }
  if (pending_.long_name) path = *pending_.long_name;
  if (pax.path) path = *pax.path;
  TarIndex::Facts facts;
  facts.link = header.link_name;
  if (pending_.long_link) facts.link = *pending_.long_link;
  if (pax.link_path) facts.link = *pax.link_path;
  if (pax.sparse) pending_.refusal = "a sparse member";
  if (header.type == 'M') pending_.refusal = "the rest of a member of another volume";
  const auto leave_out = [&](const std::string& why) {
    notes_.add("left out " + printable_name(path) + at() + ": " + why);
  };
  if (!pending_.refusal.empty()) {
    leave_out(pending_.refusal);
    return {};
  }
  facts.kind = kind_of(header, path);
  if (facts.kind != TarKind::kSymlink && facts.kind != TarKind::kHardLink) facts.link = {};
  facts.offset = body;
  facts.size = facts.kind == TarKind::kFile ? size : 0;
  facts.mtime_s = pax.mtime_s.value_or(header.mtime_s);
  facts.mode = header.mode;
  // What a hard link refers to is looked up before it: it may replace that very entry.
  std::optional<TarIndex::Entry> target;
  if (facts.kind == TarKind::kHardLink) {
    if (const auto id = index_.find(TarIndex::normalize(facts.link))) target = index_.entry(*id);
  }
  const auto id = index_.add(path, facts);
  if (!id && id.error().code == Errc::kLimit) return tl::unexpected<Error>(id.error());
  if (!id) {
    leave_out(id.error().what);
    return {};
  }
  if (facts.kind != TarKind::kHardLink) return {};
  if (target && target->kind != TarKind::kHardLink)
    index_.set_body(*id, *target);
  else
    late_hard_links_.push_back(*id);
  return {};
}

// A target that came after its link, or only through another such link.
void TarScanner::resolve_late_hard_links() {
  for (const TarIndex::Id link : late_hard_links_) {
    if (index_.entry(link).kind != TarKind::kHardLink) continue;
    std::optional<TarIndex::Id> target = link;
    for (int i = 0; target && i < kMaxHardLinkChain; i++) {
      if (index_.entry(*target).kind != TarKind::kHardLink) break;
      target = index_.find(TarIndex::normalize(index_.link(index_.entry(*target))));
    }
    if (target && index_.entry(*target).kind != TarKind::kHardLink)
      index_.set_body(link, index_.entry(*target));
    else
      notes_.add("hard link " + printable_name(index_.path(index_.entry(link))) +
                 " leads to nothing in the archive");
  }
}

}  // namespace splitring
