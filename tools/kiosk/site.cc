#include "tools/kiosk/site.h"

#include <algorithm>
#include <array>
#include <cstdio>
#include <vector>

#include "tools/kiosk/content_type.h"
#include "tools/kiosk/html_page.h"
#include "tools/kiosk/http_text.h"

namespace splitring::kiosk {
namespace {

constexpr std::string_view kHtml = "text/html; charset=utf-8";
// Our own pages load nothing and run nothing.
constexpr std::string_view kPagePolicy =
    "Content-Security-Policy: default-src 'none'; style-src 'unsafe-inline'\r\n";

struct Explanation {
  unsigned status;
  const char* reason;  // of the status line
  const char* detail;
};
constexpr std::array kExplanations = {
    Explanation{200, "OK", ""},
    Explanation{206, "Partial Content", ""},
    Explanation{301, "Moved Permanently", "This is a directory; its address ends with a slash."},
    Explanation{304, "Not Modified", ""},
    Explanation{400, "Bad Request", "The request is not well formed."},
    Explanation{404, "Not Found", "Nothing on this disk has that name."},
    Explanation{405, "Method Not Allowed", "Only GET and HEAD are served here."},
    Explanation{413, "Content Too Large", "Requests with a body are not served here."},
    Explanation{414, "URI Too Long", "The address is longer than any that is served."},
    Explanation{416, "Range Not Satisfiable", "The file ends before that range."},
    Explanation{431, "Request Header Fields Too Large", "The request's headers are too long."},
    Explanation{500, "Internal Server Error", "The disk could not be read."},
    Explanation{501, "Not Implemented", "Files with holes are not served here."},
    Explanation{503, "Service Unavailable", "Too many connections; try again soon."},
};

const Explanation& explain(unsigned status) {
  const auto* const found = std::find_if(kExplanations.begin(), kExplanations.end(),
                                         [&](const Explanation& e) { return e.status == status; });
  return found != kExplanations.end() ? *found : kExplanations[4];
}

void add_header(std::string& head, std::string_view name, std::string_view value) {
  head.append(name).append(": ").append(value).append("\r\n");
}

Reply start(unsigned status) {
  Reply reply;
  reply.status = status;
  reply.head.reserve(512);
  reply.head = "HTTP/1.1 " + std::to_string(status) + " " + explain(status).reason +
               "\r\nServer: splitring-kiosk\r\nX-Content-Type-Options: nosniff\r\n";
  return reply;
}

void add_content(Reply& reply, std::string_view type, uint64_t length) {
  add_header(reply.head, "Content-Type", type);
  add_header(reply.head, "Content-Length", std::to_string(length));
}

void set_body(Reply& reply, std::string_view type, std::string body, bool head_only) {
  add_content(reply, type, body.size());
  if (!head_only) reply.body = std::move(body);
}

Reply page(unsigned status, std::string_view detail, bool head_only) {
  const Explanation& explanation = explain(status);
  Reply reply = start(status);
  if (status == 405) add_header(reply.head, "Allow", "GET, HEAD");
  reply.head += kPagePolicy;
  const std::string_view text = detail.empty() ? explanation.detail : detail;
  set_body(reply, kHtml, message_page(status, explanation.reason, text), head_only);
  return reply;
}

bool is_head(const Request& request) { return request.method == "HEAD"; }

// Strong: the same bytes as long as the image is not written to. Where the body lies tells apart
// members that have the rest in common.
std::string entity_tag(const TarEntry& entry) {
  std::array<char, 64> text;
  std::snprintf(text.data(), text.size(), "\"%llx-%llx-%llx\"",
                static_cast<unsigned long long>(entry.mtime_s),
                static_cast<unsigned long long>(entry.size),
                static_cast<unsigned long long>(entry.offset));
  return text.data();
}

// RFC 9110 13.2.2: If-None-Match decides alone where it is given.
bool is_unchanged(const Request& request, const TarEntry& entry, std::string_view tag) {
  if (!request.if_none_match.empty()) return etag_list_holds(request.if_none_match, tag);
  if (request.if_modified_since.empty()) return false;
  const auto since = parse_http_date(request.if_modified_since);
  return since && entry.mtime_s <= *since;
}

RangeKind wanted_range(const Request& request, const TarEntry& entry, std::string_view tag,
                       ByteRange& range) {
  if (request.range.empty()) return RangeKind::kWhole;
  if (!request.if_range.empty() && request.if_range != tag &&
      parse_http_date(request.if_range) != entry.mtime_s)
    return RangeKind::kWhole;
  return parse_range(request.range, entry.size, range);
}

bool has_dot_dot(std::string_view path) {
  while (!path.empty()) {
    const size_t slash = path.find('/');
    if (path.substr(0, slash) == "..") return true;
    path.remove_prefix(slash == std::string_view::npos ? path.size() : slash + 1);
  }
  return false;
}

// The path of an origin-form or absolute-form target. Nothing: neither.
std::optional<std::string_view> path_of(std::string_view target) {
  for (const std::string_view scheme : {"http://", "https://"}) {
    if (!target.starts_with(scheme)) continue;
    const size_t slash = target.find('/', scheme.size());
    return slash == std::string_view::npos ? "/" : target.substr(slash);
  }
  if (!target.starts_with('/')) return std::nullopt;
  return target;
}

}  // namespace

Reply Site::refuse(unsigned status, bool head_only) { return page(status, {}, head_only); }

Reply Site::answer(const Request& request) const {
  if (request.method != "GET" && request.method != "HEAD") return refuse(405);
  auto target = path_of(request.target);
  if (!target) return refuse(400, is_head(request));
  const size_t end = std::min(target->find_first_of("?#"), target->size());
  const std::string_view query = target->substr(end);
  const auto path = percent_decode(target->substr(0, end));
  if (!path) return refuse(400, is_head(request));
  if (*path == "/metrics") {
    Reply reply = start(200);
    add_header(reply.head, "Cache-Control", "no-store");
    set_body(reply, "text/plain; version=0.0.4; charset=utf-8", metrics_(), is_head(request));
    return reply;
  }
  return answer_path(request, *path, query, path->ends_with('/'));
}

Reply Site::answer_path(const Request& request, std::string_view path, std::string_view query,
                        bool wants_directory) const {
  const auto not_found = [&] {
    const std::string detail = "Nothing on this disk is called " + std::string(path) + ".";
    return page(404, detail, is_head(request));
  };
  // Names with ".." may be in the archive; in an address they mean the way up, and lead nowhere.
  if (has_dot_dot(path)) return not_found();
  const auto entry = tar_.resolve(path);
  if (!entry) return not_found();
  if (entry->kind == TarKind::kFile && !wants_directory) return file(request, *entry);
  if (entry->kind != TarKind::kDirectory) return not_found();
  if (!wants_directory) {
    Reply reply = start(301);
    // Normalised, so never "//host": a redirect stays here. A query holds no line ends: it came
    // in the request's first line.
    const std::string normal = percent_encode_path(TarIndex::normalize(path));
    add_header(reply.head, "Location",
               "/" + normal + (normal.empty() ? "" : "/") + std::string(query));
    set_body(reply, kHtml, message_page(301, explain(301).reason, explain(301).detail),
             is_head(request));
    return reply;
  }
  const auto index = tar_.resolve(std::string(entry->path) + "/index.html");
  if (index && index->kind == TarKind::kFile) return file(request, *index);
  return directory(request, *entry);
}

Reply Site::file(const Request& request, const TarEntry& entry) const {
  if (entry.sparse) return page(501, {}, is_head(request));  // its bytes do not lie together
  const std::string tag = entity_tag(entry);
  const auto add_validators = [&](Reply& reply) {
    add_header(reply.head, "ETag", tag);
    if (const auto date = http_date(entry.mtime_s)) add_header(reply.head, "Last-Modified", *date);
    add_header(reply.head, "Cache-Control", "no-cache");  // ask again each time; a 304 is cheap
    add_header(reply.head, "Accept-Ranges", "bytes");
  };
  if (is_unchanged(request, entry, tag)) {
    Reply reply = start(304);
    add_validators(reply);
    return reply;
  }
  ByteRange range{0, entry.size};
  // RFC 9110 14.2: Range has a meaning for GET only.
  const RangeKind kind =
      is_head(request) ? RangeKind::kWhole : wanted_range(request, entry, tag, range);
  if (kind == RangeKind::kUnsatisfiable) {
    Reply reply = page(416, {}, is_head(request));
    add_header(reply.head, "Content-Range", "bytes */" + std::to_string(entry.size));
    return reply;
  }
  Reply reply = start(kind == RangeKind::kPart ? 206 : 200);
  add_validators(reply);
  if (kind == RangeKind::kPart)
    add_header(reply.head, "Content-Range",
               "bytes " + std::to_string(range.first) + "-" +
                   std::to_string(range.first + range.length - 1) + "/" +
                   std::to_string(entry.size));
  add_content(reply, content_type(entry.path), range.length);
  if (!is_head(request) && range.length != 0)
    reply.file = FileSlice{entry.offset + range.first, range.length};
  return reply;
}

Reply Site::directory(const Request& request, const TarEntry& entry) const {
  std::vector<ListedEntry> listed;
  for (const TarEntry& child : tar_.list(entry.path)) {
    // A link is shown as what it leads to; one that leads nowhere, and devices, are not shown.
    const auto shown = child.kind == TarKind::kSymlink ? tar_.resolve(child.path) : child;
    if (!shown || (shown->kind != TarKind::kFile && shown->kind != TarKind::kDirectory)) continue;
    listed.push_back({.name = std::string(child.base_name()),
                      .is_directory = shown->kind == TarKind::kDirectory,
                      .size = shown->size,
                      .mtime_s = shown->mtime_s});
  }
  std::stable_partition(listed.begin(), listed.end(),
                        [](const ListedEntry& e) { return e.is_directory; });
  const size_t shown = std::min(listed.size(), kMaxListed);
  Reply reply = start(200);
  add_header(reply.head, "Cache-Control", "no-cache");
  reply.head += kPagePolicy;
  set_body(reply, kHtml,
           directory_page(entry.path, std::span(listed).first(shown), listed.size() - shown),
           is_head(request));
  return reply;
}

}  // namespace splitring::kiosk
