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

Result<TarEnd> TarScanner::run() {
  if (disk_.end() < kTarBlockBytes)
    return fail(Errc::kInvalid, "no tar archive: the disk is empty");
  Next next = Next::kGoOn;
  while (next == Next::kGoOn && in_range(offset_, kTarBlockBytes, disk_.end())) next = TRY(step());
  if (next == Next::kGoOn && (pending_.long_name || pending_.long_link || pending_.pax))
    stop("the archive ends behind a long name or an extended header");
  resolve_late_hard_links();
  return TarEnd{offset_, cause_};
}

TarScanner::Next TarScanner::stop(const std::string& why, TarEnd::Cause cause) {
  notes_.add(why + at() + "; the entries before it are served");
  cause_ = cause;
  return Next::kStop;
}

void TarScanner::leave_out(std::string_view path, const std::string& why) {
  notes_.add("left out " + printable_name(path) + at() + ": " + why);
}

Result<TarHeader> TarScanner::hold(TarBlock block) {
  std::copy(block.begin(), block.end(), held_.begin());
  return parse_tar_header(held_);
}

Result<TarScanner::Next> TarScanner::step() {
  const TarBlock block = TRY(disk_.block(offset_));
  if (is_zero_block(block)) return take_zero_block();
  auto header = parse_tar_header(block);
  if (!header && offset_ == 0)
    return fail(Errc::kInvalid, "no tar archive: " + header.error().what + " at its beginning");
  if (!header) return stop(header.error().what);
  const bool old_gnu_sparse = header->type == 'S';
  if (old_gnu_sparse || (pending_.pax && pending_.pax->sparse)) header = TRY(hold(block));
  Member member{.header = *header, .body = offset_ + kTarBlockBytes};
  if (old_gnu_sparse) TRY_VOID(read_old_gnu_map(member));
  return take_member(member);
}

// Two of them end the archive; one alone, with more behind it, is damage.
Result<TarScanner::Next> TarScanner::take_zero_block() {
  if (!stop_at_end_) {  // padding, or the end of one of several archives
    pending_ = {};
    global_ = {};
    offset_ += kTarBlockBytes;
    return Next::kGoOn;
  }
  const uint64_t second = offset_ + kTarBlockBytes;
  if (!in_range(second, kTarBlockBytes, disk_.end())) return Next::kStop;
  if (!is_zero_block(TRY(disk_.block(second))))
    return stop("a lone zero block", TarEnd::Cause::kLoneZero);
  return Next::kStop;
}

Result<TarScanner::Next> TarScanner::take_member(Member& member) {
  const TarHeader& header = member.header;
  member.stored = has_no_body(header.type) ? 0 : header.size;
  // The map of an old GNU sparse member was checked against its own size.
  if (!has_no_body(header.type) && !is_extended_header(header.type) && header.type != 'S') {
    if (global_.size) member.stored = *global_.size;
    if (pending_.pax && pending_.pax->size) member.stored = *pending_.pax->size;
  }
  if (!in_range(member.body, member.stored, disk_.end()))
    return stop("truncated member " + printable_name(header.name));
  // The end of a disk is a multiple of a block, so rounding stays within it.
  const uint64_t next = member.body + round_up(member.stored, kTarBlockBytes);
  if (is_extended_header(header.type)) {
    TRY_VOID(take_extended(member));
  } else if (!is_ignored(header.type)) {
    TRY_VOID(take_entry(std::move(member)));
    pending_ = {};
  }
  offset_ = next;
  return Next::kGoOn;
}

// Precondition: the size is bounded by a constant of ours.
Result<std::string> TarScanner::payload(const Member& member) {
  std::string text;
  text.reserve(member.stored);
  for (uint64_t done = 0; done < member.stored; done += kTarBlockBytes) {
    const TarBlock block = TRY(disk_.block(member.body + done));
    const size_t part = std::min<uint64_t>(kTarBlockBytes, member.stored - done);
    text.append(reinterpret_cast<const char*>(block.data()), part);
  }
  return text;
}

Result<> TarScanner::take_extended(const Member& member) {
  const char type = member.header.type;
  const bool is_gnu = type == 'L' || type == 'K';
  const bool too_long = member.stored > (is_gnu ? kMaxTarPathBytes + 1 : kMaxPaxBytes);
  if (too_long) {
    if (type == 'g')
      notes_.add("a global extended header is too long and was ignored" + at());
    else
      refuse(is_gnu ? "name too long" : "extended header too long");
    return {};
  }
  std::string text = TRY(payload(member));
  if (type == 'L') {
    pending_.long_name = up_to_nul(text);
  } else if (type == 'K') {
    pending_.long_link = up_to_nul(text);
  } else {
    apply_pax(type, text);
  }
  return {};
}

void TarScanner::apply_pax(char type, std::string_view records) {
  if (type == 'g') {
    PaxFields fields = global_;
    if (const auto applied = apply_pax_records(records, fields); applied) {
      global_ = std::move(fields);
      global_.sparse.reset();  // a map is a member's own
    } else {
      notes_.add("a global extended header was ignored: " + applied.error().what + at());
    }
    return;
  }
  // A second one adds to the first, as GNU tar has it.
  if (!pending_.pax) pending_.pax = global_;
  if (const auto applied = apply_pax_records(records, *pending_.pax); !applied)
    refuse(applied.error().what);
}

TarIndex::Facts TarScanner::facts_of(const Member& member, std::string_view path) const {
  const PaxFields& pax = pending_.pax ? *pending_.pax : global_;
  const TarHeader& header = member.header;
  TarIndex::Facts facts;
  facts.kind = kind_of(header, path);
  if (facts.kind == TarKind::kSymlink || facts.kind == TarKind::kHardLink) {
    facts.link = header.link_name;
    if (pending_.long_link) facts.link = *pending_.long_link;
    if (pax.link_path) facts.link = *pax.link_path;
  }
  facts.offset = member.body;
  if (facts.kind == TarKind::kFile) {
    facts.size = member.sparse ? member.file_bytes : member.stored;
    if (member.sparse) facts.extents = member.extents;
  }
  facts.mtime_s = pax.mtime_s.value_or(header.mtime_s);
  facts.mtime_ns = pax.mtime_ns;
  facts.uid = pax.uid.value_or(header.uid);
  facts.gid = pax.gid.value_or(header.gid);
  facts.mode = header.mode;
  return facts;
}

Result<> TarScanner::take_entry(Member member) {
  const PaxFields& pax = pending_.pax ? *pending_.pax : global_;
  std::string joined;
  std::string_view path = member.header.name;
  if (!member.header.prefix.empty()) {
    joined.append(member.header.prefix).append("/").append(member.header.name);
    path = joined;
  }
  if (pending_.long_name) path = *pending_.long_name;
  if (pax.path) path = *pax.path;
  if (pax.sparse) {
    if (pax.sparse->name) path = *pax.sparse->name;
    TRY_VOID(read_pax_map(member));
  }
  if (member.header.type == 'M') refuse("the rest of a member of another volume");
  if (!pending_.refusal.empty()) {
    leave_out(path, pending_.refusal);
    return {};
  }
  const TarIndex::Facts facts = facts_of(member, path);
  // What a hard link refers to is looked up before it: it may replace that very entry.
  std::optional<TarRecord> target;
  if (facts.kind == TarKind::kHardLink) {
    const TarTable table = index_.table();
    if (const auto id = table.find(TarIndex::normalize(facts.link))) target = table.record(*id);
  }
  const auto id = index_.add(path, facts);
  if (!id && id.error().code == Errc::kLimit) return tl::unexpected<Error>(id.error());
  if (!id) {
    leave_out(path, id.error().what);
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
  const TarTable table = index_.table();  // set_body() moves nothing
  for (const TarIndex::Id link : late_hard_links_) {
    if (table.record(link).kind != TarKind::kHardLink) continue;
    std::optional<TarIndex::Id> target = link;
    for (int i = 0; target && i < kMaxHardLinkChain; i++) {
      if (table.record(*target).kind != TarKind::kHardLink) break;
      target = table.find(TarIndex::normalize(table.link(table.record(*target))));
    }
    if (target && table.record(*target).kind != TarKind::kHardLink)
      index_.set_body(link, table.record(*target));
    else
      notes_.add("hard link " + printable_name(table.path(table.record(link))) +
                 " leads to nothing in the archive");
  }
}

}  // namespace splitring
