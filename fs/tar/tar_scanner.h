// Reads the headers of an archive, one after the other, into an index.
//
// Takes V7, ustar, pax (local and global) and GNU archives: long names and links, base-256 numbers,
// sparse members of every format. The archive ends at two zero blocks or with the disk. Where it is
// damaged the reading stops at the last good entry, with a note; an entry that cannot be told or
// served is left out, with a note. Time and memory are linear in the headers, whatever they say.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "fs/tar/read_ahead.h"
#include "fs/tar/tar_header.h"
#include "fs/tar/tar_index.h"
#include "fs/tar/tar_notes.h"
#include "fs/tar/tar_pax.h"
#include "fs/tar/tar_sparse.h"

namespace splitring {

// Where the reading ended.
struct TarEnd {
  enum class Cause : uint8_t {
    kEnd,       // two zero blocks, or the disk's end between members
    kLoneZero,  // one zero block: an append that did not finish, or damage
    kDamage,
  };
  uint64_t offset = 0;  // of what is no member: where another one could begin
  Cause cause = Cause::kEnd;
};

class TarScanner {
 public:
  // All outlive the scanner.
  TarScanner(ReadAhead& disk, TarIndex& index, TarNotes& notes, bool stop_at_end)
      : disk_(disk), index_(index), notes_(notes), stop_at_end_(stop_at_end) {}

  // Errors: the disk's; kInvalid if it does not begin with a tar header or a zero block; kLimit if
  // the index is full.
  Result<TarEnd> run();

 private:
  enum class Next : uint8_t { kGoOn, kStop };

  // A member's header, and where its body lies.
  struct Member {
    TarHeader header;
    uint64_t body = 0;    // on the disk
    uint64_t stored = 0;  // bytes there
    bool sparse = false;
    uint64_t file_bytes = 0;  // with holes
    std::vector<TarExtent> extents = {};
  };

  // What headers before an entry's own said about it.
  struct Pending {
    std::optional<std::string> long_name;
    std::optional<std::string> long_link;
    std::optional<PaxFields> pax;
    std::string refusal;  // not empty: leave the entry out, for this reason
  };

  Result<Next> step();
  Result<Next> take_zero_block();
  Result<Next> take_member(Member& member);
  Result<> take_entry(Member member);
  Result<> take_extended(const Member& member);
  Result<> read_old_gnu_map(Member& member);
  Result<> read_pax_map(Member& member);
  Result<> read_pax_map_in_body(Member& member, SparseMapText& text);
  void place_extents(Member& member, SparseMap&& map, uint64_t file_bytes);
  Result<std::string> payload(const Member& member);
  void apply_pax(char type, std::string_view records);
  [[nodiscard]] TarIndex::Facts facts_of(const Member& member, std::string_view path) const;
  void leave_out(std::string_view path, const std::string& why);
  void refuse(std::string why) { pending_.refusal = std::move(why); }
  // Keeps the header at hand while further blocks are read.
  Result<TarHeader> hold(TarBlock block);
  void resolve_late_hard_links();
  Next stop(const std::string& why, TarEnd::Cause cause = TarEnd::Cause::kDamage);
  std::string at() const { return " at byte " + std::to_string(offset_); }

  ReadAhead& disk_;
  TarIndex& index_;
  TarNotes& notes_;
  const bool stop_at_end_;
  uint64_t offset_ = 0;  // of the header at hand
  TarEnd::Cause cause_ = TarEnd::Cause::kEnd;
  std::array<std::byte, kTarBlockBytes> held_{};
  Pending pending_;
  PaxFields global_;
  std::vector<TarIndex::Id> late_hard_links_;  // their target was not there yet
};

}  // namespace splitring
