#include "tools/splitring/fat_marks.h"

#include <array>

namespace splitring::tools {
namespace {

struct Mark {
  char letter;
  bool FatFlags::*flag;
};
constexpr std::array<Mark, 4> kMarks{{{'a', &FatFlags::archive},
                                      {'r', &FatFlags::read_only},
                                      {'h', &FatFlags::hidden},
                                      {'s', &FatFlags::system}}};

const Mark* mark_of(char letter) {
  for (const Mark& mark : kMarks)
    if (mark.letter == letter) return &mark;
  return nullptr;
}

}  // namespace

FatFlags FatMarkChange::of(FatFlags flags) const {
  for (const auto& [letter, flag] : kMarks)
    flags.*flag = (flags.*flag || set.*flag) && !(clear.*flag);
  return flags;
}

bool is_fat_marks(const std::string& word) {
  return word.starts_with('+') || word.starts_with('-');
}

Result<FatMarkChange> parse_fat_marks(std::span<const std::string> words) {
  FatMarkChange change;
  for (const std::string& word : words) {
    const std::string letters = word.substr(1);
    FatFlags& flags = word.front() == '+' ? change.set : change.clear;
    for (const char letter : letters) {
      const Mark* const mark = mark_of(letter);
      if (mark == nullptr) return fail(Errc::kInvalid, word + ": the marks are a, r, h and s");
      flags.*mark->flag = true;
    }
    if (letters.empty()) return fail(Errc::kInvalid, word + ": say which mark: a, r, h or s");
  }
  for (const auto& [letter, flag] : kMarks)
    if (change.set.*flag && change.clear.*flag)
      return fail(Errc::kInvalid, std::string("either +") + letter + " or -" + letter);
  return change;
}

std::string fat_marks_text(const FatFlags& flags) {
  std::string text;
  for (const auto& [letter, flag] : kMarks) text += flags.*flag ? letter : '-';
  return text;
}

}  // namespace splitring::tools
