#include "tools/kiosk/http/body_decoder.h"

#include <algorithm>
#include <charconv>

namespace splitring::http {

BodyDecoder::Outcome BodyDecoder::next(std::string_view input) {
  size_t taken = 0;
  while (place_ != Place::kEnd && place_ != Place::kBroken) {
    Outcome outcome = place_ == Place::kData ? take_data(input) : take_line(input);
    taken += outcome.taken;
    input.remove_prefix(outcome.taken);
    outcome.taken = taken;
    if (outcome.state == State::kData) return outcome;
    if (outcome.state == State::kMore && place_ != Place::kBroken) return outcome;
  }
  return {place_ == Place::kEnd ? State::kEnd : State::kBroken, taken, {}};
}

// Goes on to the next place when nothing is left; kEnd as its outcome only means that it did.
BodyDecoder::Outcome BodyDecoder::take_data(std::string_view input) {
  if (left_ == 0) {
    place_ = chunked_ ? Place::kDataEnd : Place::kEnd;
    return {State::kEnd, 0, {}};
  }
  if (input.empty()) return {};
  const size_t bytes = std::min<uint64_t>(left_, input.size());
  left_ -= bytes;
  return {State::kData, bytes, input.substr(0, bytes)};
}

BodyDecoder::Outcome BodyDecoder::take_line(std::string_view input) {
  const size_t end = input.substr(0, kMaxChunkLine).find('\n');
  if (end == std::string_view::npos) {
    if (input.size() >= kMaxChunkLine) place_ = Place::kBroken;
    return {};
  }
  const bool good = end > 0 && input[end - 1] == '\r' && read_line(input.substr(0, end - 1));
  if (!good) place_ = Place::kBroken;
  return {State::kEnd, end + 1, {}};
}

bool BodyDecoder::read_line(std::string_view line) {
  if (line.find('\r') != std::string_view::npos) return false;
  if (place_ == Place::kSize) return read_size(line);
  if (place_ == Place::kDataEnd) {
    place_ = Place::kSize;
    return line.empty();
  }
  if (line.empty())
    place_ = Place::kEnd;
  else if (++trailers_ > kMaxTrailers)
    return false;
  return true;
}

bool BodyDecoder::read_size(std::string_view line) {
  const std::string_view digits = line.substr(0, line.find_first_not_of("0123456789abcdefABCDEF"));
  const std::string_view rest = line.substr(digits.size());
  if (digits.empty() || digits.size() > 16) return false;
  if (!rest.empty() && rest[0] != ';') return false;
  (void)std::from_chars(digits.data(), digits.data() + digits.size(), left_, 16);
  place_ = left_ == 0 ? Place::kTrailers : Place::kData;
  return true;
}

}  // namespace splitring::http
