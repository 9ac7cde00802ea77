// Reads the headers of an archive, one after the other, into an index.
//
// Takes V7, ustar, pax (local and global) and GNU archives: long names and links, base-256 numbers,
// sparse members by skipping them. The archive ends at a zero block or with the disk. Where it is
// damaged the reading stops at the last good entry, with a note; an entry that cannot be told or
// served is left out, with a note. Time and memory are linear in the headers, whatever they say.
#pragma once

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
#include "fs/tar/tar_pax.h"

namespace splitring {

// Remarks for a person, the first few in full.
class TarNotes {
 public:
  static constexpr size_t kKept = 64;

  void add(std::string note) {
    if (total_++ < kKept) kept_.push_back(std::move(note));
  }
  [[nodiscard]] const std::vector<std::string>& kept() const { return kept_; }
  [[nodiscard]] uint64_t total() const { return total_; }

 private:
  std::vector<std::string> kept_;
  uint64_t total_ = 0;
};

// A name for a message: control characters and what is not ASCII as \xNN, cut when very long.
[[nodiscard]] std::string printable_name(std::string_view name);

class TarScanner {
 public:
  // All outlive the scanner.
  TarScanner(ReadAhead& disk, TarIndex& index, TarNotes& notes)
      : disk_(disk), index_(index), notes_(notes) {}

  // Errors: the disk's; kInvalid if it does not begin with a tar header or a zero block; kLimit if
  // the index is full.
  Result<> run();

 private:
  enum class Next : uint8_t { kGoOn, kStop };

  // What headers before an entry's own said about it.
  struct Pending {
    std::optional<std::string> long_name;
    std::optional<std::string> long_link;
    std::optional<PaxFields> pax;
    std::string refusal;  // not empty: leave the entry out, for this reason
  };

  Result<Next> step();
  Result<Next> end_at_zero_block();
  Result<Next> take_member(const TarHeader& header, uint64_t body);
  Result<> take_entry(const TarHeader& header, uint64_t body, uint64_t size);
  Result<> take_extended(const TarHeader& header, uint64_t body);
  Result<uint64_t> skip_sparse_maps(TarBlock header, uint64_t body);
  Result<std::string> payload(const TarHeader& header, uint64_t body);
  void apply_pax(char type, std::string_view records);
  void resolve_late_hard_links();
  Next stop(const std::string& why);
  std::string at() const { return " at byte " + std::to_string(offset_); }

  ReadAhead& disk_;
  TarIndex& index_;
  TarNotes& notes_;
  uint64_t offset_ = 0;  // of the header at hand
  Pending pending_;
  PaxFields global_;
  std::vector<TarIndex::Id> late_hard_links_;  // their target was not there yet
};

}  // namespace splitring
