#include "tools/kiosk/content/representation.h"

#include <algorithm>
#include <array>
#include <random>

#include "base/parse.h"

namespace splitring::kiosk {
namespace {

using http::ByteRange;
using http::Known;
using http::Request;
using http::Response;

struct CodingName {
  std::string_view name;
  std::string_view suffix;
};
constexpr std::array<CodingName, kCodingCount> kCodings = {
    CodingName{"", ""}, CodingName{"br", ".br"}, CodingName{"zstd", ".zst"},
    CodingName{"gzip", ".gz"}};

// A weight "0.5" in thousandths. Nothing: none that RFC 9110 12.4.2 allows.
std::optional<unsigned> parse_weight(std::string_view text) {
  if (text.empty() || text.size() > 5 || (text[0] != '0' && text[0] != '1')) return std::nullopt;
  unsigned weight = static_cast<unsigned>(text[0] - '0') * 1000;
  if (text.size() > 1 && text[1] != '.') return std::nullopt;
  unsigned unit = 100;
  for (const char c : text.substr(std::min<size_t>(2, text.size()))) {
    if (c < '0' || c > '9') return std::nullopt;
    weight += static_cast<unsigned>(c - '0') * unit;
    unit /= 10;
  }
  return weight > 1000 ? std::nullopt : std::optional(weight);
}

struct WeightedCoding {
  std::string_view name;
  unsigned weight = 1000;
};

// One item of Accept-Encoding: "gzip;q=0.5". A weight that is none counts as 0.
WeightedCoding parse_coding(std::string_view item) {
  const size_t semicolon = item.find(';');
  WeightedCoding parsed{http::trim(item.substr(0, semicolon))};
  if (semicolon == std::string_view::npos) return parsed;
  const std::string_view parameter = http::trim(item.substr(semicolon + 1));
  if (http::starts_with_ignoring_case(parameter, "q="))
    parsed.weight = parse_weight(parameter.substr(2)).value_or(0);
  return parsed;
}

void add_validators(Response& response, const Representation& file) {
  response.add("ETag", file.etag);
  if (const auto date = http::http_date(file.mtime_s)) response.add("Last-Modified", *date);
  response.add("Cache-Control", "no-cache");  // ask again each time; a 304 is cheap
  if (file.varies) response.add("Vary", "Accept-Encoding");
}

enum class Precondition : uint8_t { kGoOn, kNotModified, kFailed };

Precondition check_preconditions(const Request& request, const Representation& file) {
  const auto date_of = [&](Known name) { return http::parse_http_date(request.header(name)); };
  if (const auto list = request.header(Known::kIfMatch); !list.empty()) {
    if (!http::etag_list_holds(list, file.etag, http::EtagMatch::kStrong))
      return Precondition::kFailed;
  } else if (const auto limit = date_of(Known::kIfUnmodifiedSince);
             limit && file.mtime_s > *limit) {
    return Precondition::kFailed;
  }
  if (const auto list = request.header(Known::kIfNoneMatch); !list.empty())
    return http::etag_list_holds(list, file.etag) ? Precondition::kNotModified
                                                  : Precondition::kGoOn;
  const auto since = date_of(Known::kIfModifiedSince);
  return since && file.mtime_s <= *since ? Precondition::kNotModified : Precondition::kGoOn;
}

// RFC 9110 14.2: Range has a meaning for GET only.
http::RangeKind wanted_ranges(const Request& request, const Representation& file,
                              std::vector<ByteRange>& ranges) {
  const std::string_view header = request.header(Known::kRange);
  if (request.is_head() || header.empty()) return http::RangeKind::kWhole;
  const std::string_view condition = request.header(Known::kIfRange);
  if (!condition.empty() && condition != file.etag &&
      http::parse_http_date(condition) != file.mtime_s)
    return http::RangeKind::kWhole;
  return http::parse_ranges(header, file.size, kMaxRanges, ranges);
}

std::string content_range(const ByteRange& range, uint64_t size) {
  return "bytes " + std::to_string(range.first) + "-" +
         std::to_string(range.first + range.length - 1) + "/" + std::to_string(size);
}

// Not to be guessed by who makes the files, so that none can hold it.
std::string make_boundary() {
  thread_local std::mt19937_64 random{std::random_device{}()};
  return "splitring-" + std::to_string(random()) + std::to_string(random());
}

void plan_several(Plan& made, const Representation& file, const std::vector<ByteRange>& ranges) {
  const std::string boundary = make_boundary();
  made.response.add("Content-Type", "multipart/byteranges; boundary=" + boundary);
  for (const ByteRange& range : ranges) {
    std::string text = (made.parts.empty() ? "--" : "\r\n--") + boundary + "\r\n";
    text += "Content-Type: " + std::string(file.type) +
            "\r\nContent-Range: " + content_range(range, file.size) + "\r\n\r\n";
    made.parts.push_back({std::move(text), range});
  }
  made.parts.push_back({"\r\n--" + boundary + "--\r\n", {}});
}

}  // namespace

uint8_t CodingChoice::key() const {
  unsigned key = 0;
  for (size_t i = 0; i < count; i++)
    key = key * unsigned{kCodingCount} + static_cast<unsigned>(order[i]);
  return static_cast<uint8_t>(key);  // three of four: the last one is always identity
}

std::string_view coding_name(Coding coding) { return kCodings[static_cast<size_t>(coding)].name; }
std::string_view coding_suffix(Coding coding) {
  return kCodings[static_cast<size_t>(coding)].suffix;
}

CodingChoice accepted_codings(std::string_view list) {
  // A client that says nothing may be one that can nothing.
  std::array<std::optional<unsigned>, kCodingCount> weights;
  std::optional<unsigned> others;
  while (!list.empty()) {
    const size_t comma = list.find(',');
    const WeightedCoding item = parse_coding(list.substr(0, comma));
    list.remove_prefix(comma == std::string_view::npos ? list.size() : comma + 1);
    if (item.name == "*") others = item.weight;
    for (size_t i = 1; i < kCodingCount; i++)
      if (http::equal_ignoring_case(item.name, kCodings[i].name)) weights[i] = item.weight;
    if (http::equal_ignoring_case(item.name, "x-gzip")) weights[3] = item.weight;
  }
  CodingChoice choice;
  std::array<unsigned, kCodingCount> of{};
  for (size_t i = 1; i < kCodingCount; i++) {
    of[i] = weights[i].value_or(others.value_or(0));
    if (of[i] != 0) choice.order[choice.count++] = static_cast<Coding>(i);
  }
  std::stable_sort(
      choice.order.begin(), choice.order.begin() + choice.count,
      [&](Coding a, Coding b) { return of[static_cast<size_t>(a)] > of[static_cast<size_t>(b)]; });
  choice.order[choice.count++] = Coding::kIdentity;
  return choice;
}

Response whole_response(const Representation& file) {
  Response response;
  add_validators(response, file);
  response.add("Accept-Ranges", "bytes");
  response.add("Content-Type", file.type);
  if (file.coding != Coding::kIdentity) response.add("Content-Encoding", coding_name(file.coding));
  return response;
}

Plan plan(const Request& request, const Representation& file) {
  Plan made;
  switch (check_preconditions(request, file)) {
    case Precondition::kFailed: made.response = http::status_page(412); return made;
    case Precondition::kNotModified:
      made.response.status = 304;
      add_validators(made.response, file);
      return made;
    case Precondition::kGoOn: break;
  }
  std::vector<ByteRange> ranges;
  switch (wanted_ranges(request, file, ranges)) {
    case http::RangeKind::kUnsatisfiable:
      made.response = http::status_page(416);
      made.response.add("Content-Range", "bytes */" + std::to_string(file.size));
      return made;
    case http::RangeKind::kWhole:
      made.response = whole_response(file);
      made.is_whole = true;
      made.parts.push_back({"", {0, file.size}});
      break;
    case http::RangeKind::kPart:
      made.response.status = 206;
      add_validators(made.response, file);
      if (file.coding != Coding::kIdentity)
        made.response.add("Content-Encoding", coding_name(file.coding));
      if (ranges.size() > 1) {
        plan_several(made, file, ranges);
      } else {
        made.response.add("Content-Range", content_range(ranges[0], file.size));
        made.response.add("Content-Type", file.type);
        made.parts.push_back({"", ranges[0]});
      }
      break;
  }
  for (const Part& part : made.parts) made.length += part.text.size() + part.bytes.length;
  return made;
}

}  // namespace splitring::kiosk
