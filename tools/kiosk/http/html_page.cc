#include "tools/kiosk/http/html_page.h"

#include <algorithm>

#include "base/parse.h"
#include "tools/kiosk/http/http_text.h"

namespace splitring::http {
namespace {

constexpr std::string_view kStyle = R"(
:root{color-scheme:light dark;--ink:#1c2430;--soft:#667085;--line:#e4e7ec;--page:#fbfbfc;
--card:#fff;--link:#1f5fbf;--hover:#f2f5fa}
@media(prefers-color-scheme:dark){:root{--ink:#e6e9ee;--soft:#98a2b3;--line:#2a303a;
--page:#13161b;--card:#1a1e25;--link:#8ab4f8;--hover:#222833}}
*{box-sizing:border-box}
body{margin:0;background:var(--page);color:var(--ink);
font:16px/1.5 system-ui,-apple-system,"Segoe UI",Roboto,sans-serif}
main{max-width:60rem;margin:0 auto;padding:2rem 1rem}
nav,h1{font-size:1.25rem;font-weight:600;margin:0 0 1rem;overflow-wrap:anywhere}
nav span{color:var(--soft);padding:0 .3em;font-weight:400}
a{color:var(--link);text-decoration:none}
a:hover{text-decoration:underline}
a:focus-visible{outline:2px solid var(--link);outline-offset:2px;border-radius:3px}
table{width:100%;border-collapse:collapse;background:var(--card);
border:1px solid var(--line);border-radius:10px;border-spacing:0;overflow:hidden}
th{font-size:.8rem;font-weight:600;text-align:left;color:var(--soft)}
th,td{padding:.45rem .9rem;border-bottom:1px solid var(--line)}
tr:last-child td{border-bottom:0}
tbody tr:hover{background:var(--hover)}
td:first-child{overflow-wrap:anywhere}
.n{text-align:right;white-space:nowrap;font-variant-numeric:tabular-nums;color:var(--soft)}
th.n{font-weight:600}
.d{font-weight:600}
p,footer{color:var(--soft)}
footer{font-size:.85rem;margin-top:1rem}
@media(max-width:36rem){main{padding:1rem .5rem}.t{display:none}th,td{padding:.55rem .6rem}}
)";

void open_page(std::string& page, std::string_view title) {
  page += "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n";
  page += "<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n<title>";
  page += escape_html(title);
  page += "</title>\n<style>";
  page += kStyle;
  page += "</style>\n</head>\n<body>\n<main>\n";
}

void close_page(std::string& page) { page += "</main>\n</body>\n</html>\n"; }

// "home / usr / share", each but the last a link.
void add_breadcrumb(std::string& page, std::string_view path) {
  page += "<nav aria-label=\"Path\">";
  page += path.empty() ? "home" : "<a href=\"/\">home</a>";
  size_t from = 0;
  while (from < path.size()) {
    const size_t slash = std::min(path.find('/', from), path.size());
    const std::string name = escape_html(path.substr(from, slash - from));
    page += "<span>/</span>";
    if (slash == path.size())
      page += name;
    else
      page += "<a href=\"/" + percent_encode_path(path.substr(0, slash)) + "/\">" + name + "</a>";
    from = slash + 1;
  }
  page += "</nav>\n";
}

std::string short_date(int64_t unix_seconds) {
  if (unix_seconds == 0) return "";
  const auto date = http_date(unix_seconds);
  // "Sun, 06 Nov 1994 08:49:37 GMT" -> "06 Nov 1994"
  return date ? date->substr(5, 11) : "";
}

void add_row(std::string& page, const ListedEntry& entry) {
  const char* const slash = entry.is_directory ? "/" : "";
  // "./" keeps a name with a colon from reading as a scheme.
  page += "<tr><td";
  page += entry.is_directory ? " class=\"d\"" : "";
  page += "><a href=\"./" + percent_encode_path(entry.name) + slash + "\">" +
          escape_html(entry.name) + slash + "</a></td><td class=\"n\">";
  page += entry.is_directory ? "" : format_bytes(entry.size);
  page += "</td><td class=\"n t\">" + short_date(entry.mtime_s) + "</td></tr>\n";
}

}  // namespace

std::string directory_page(std::string_view path, std::span<const ListedEntry> entries,
                           size_t unlisted) {
  std::string page;
  open_page(page, path.empty() ? "home" : path);
  add_breadcrumb(page, path);
  if (entries.empty()) {
    page += "<p>Nothing is in here.</p>\n";
  } else {
    page +=
        "<table>\n<thead><tr><th scope=\"col\">Name</th><th scope=\"col\" class=\"n\">Size</th>"
        "<th scope=\"col\" class=\"n t\">Changed</th></tr></thead>\n<tbody>\n";
    for (const ListedEntry& entry : entries) add_row(page, entry);
    page += "</tbody>\n</table>\n";
  }
  page += "<footer>" + std::to_string(entries.size() + unlisted) +
          (entries.size() + unlisted == 1 ? " entry" : " entries");
  if (unlisted != 0) page += ", the first " + std::to_string(entries.size()) + " of them shown";
  page += "</footer>\n";
  close_page(page);
  return page;
}

std::string message_page(unsigned status, std::string_view title, std::string_view detail) {
  std::string page;
  open_page(page, title);
  page += "<h1>" + std::to_string(status) + " " + escape_html(title) + "</h1>\n<p>" +
          escape_html(detail) + "</p>\n<p><a href=\"/\">To the start page</a></p>\n";
  close_page(page);
  return page;
}

}  // namespace splitring::http
