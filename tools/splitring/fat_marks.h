// The marks of a file that a person sets and takes away, as "+h" and "-rs" say it.
#pragma once

#include <span>
#include <string>

#include "base/result.h"
#include "fs/fat/fat_types.h"

namespace splitring::tools {

struct FatMarkChange {
  FatFlags set;
  FatFlags clear;

  [[nodiscard]] FatFlags of(FatFlags flags) const;
};

// Whether the word is one of marks: it begins with a plus or a minus. A path that does is written
// with "./" or "/" in front.
bool is_fat_marks(const std::string& word);
// kInvalid: other letters than a, r, h and s, none at all, or one that is both set and taken away.
Result<FatMarkChange> parse_fat_marks(std::span<const std::string> words);
// "arhs", each letter or a dash in its place.
std::string fat_marks_text(const FatFlags& flags);

}  // namespace splitring::tools
