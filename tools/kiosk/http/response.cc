#include "tools/kiosk/http/response.h"

#include <algorithm>
#include <array>

#include "tools/kiosk/http/html_page.h"

namespace splitring::http {
namespace {

struct Explanation {
  unsigned status;
  const char* reason;  // of the status line
  const char* detail;
};
constexpr std::array kExplanations = {
    Explanation{101, "Switching Protocols", ""},
    Explanation{200, "OK", ""},
    Explanation{201, "Created", ""},
    Explanation{204, "No Content", ""},
    Explanation{206, "Partial Content", ""},
    Explanation{301, "Moved Permanently", "This is a directory; its address ends with a slash."},
    Explanation{304, "Not Modified", ""},
    Explanation{400, "Bad Request", "The request is not well formed."},
    Explanation{403, "Forbidden", "Pages of other sites may not change anything here."},
    Explanation{404, "Not Found", "Nothing here has that name."},
    Explanation{405, "Method Not Allowed", "Only GET and HEAD are served here."},
    Explanation{408, "Request Timeout", "The request did not arrive in time."},
    Explanation{409, "Conflict", "The name does not fit what is there."},
    Explanation{411, "Length Required", "What is to be stored must announce its length."},
    Explanation{412, "Precondition Failed", "The file is not the one that was meant."},
    Explanation{413, "Content Too Large",
                "The request's body is larger than any that is taken here."},
    Explanation{414, "URI Too Long", "The address is longer than any that is served."},
    Explanation{416, "Range Not Satisfiable", "The file ends before that range."},
    Explanation{417, "Expectation Failed", "Only 100-continue is expected here."},
    Explanation{426, "Upgrade Required", "This address speaks WebSocket."},
    Explanation{431, "Request Header Fields Too Large", "The request's headers are too long."},
    Explanation{500, "Internal Server Error", "The disk could not be read."},
    Explanation{501, "Not Implemented", "That transfer encoding is not known here."},
    Explanation{503, "Service Unavailable", "Too much at once; try again soon."},
    Explanation{505, "HTTP Version Not Supported", "Only HTTP/1.0 and 1.1 are served here."},
    Explanation{507, "Insufficient Storage", "The disk is full."},
};

const Explanation* explain(unsigned status) {
  const auto* const found = std::find_if(kExplanations.begin(), kExplanations.end(),
                                         [&](const Explanation& e) { return e.status == status; });
  return found == kExplanations.end() ? nullptr : found;
}

}  // namespace

void Response::add(std::string_view name, std::string_view value) {
  headers.append(name).append(": ");
  for (const char c : value) {
    const auto byte = static_cast<unsigned char>(c);
    headers += byte < 0x20 || byte == 0x7f ? ' ' : c;
  }
  headers += "\r\n";
}

std::string_view reason_of(unsigned status) {
  const Explanation* const found = explain(status);
  return found == nullptr ? "" : found->reason;
}

Response fresh_page(std::string_view content_type, std::string body) {
  Response response;
  response.add("Content-Type", content_type);
  response.add("Cache-Control", "no-store");
  response.body = std::move(body);
  return response;
}

Response status_page(unsigned status, std::string_view detail) {
  Response response;
  response.status = status;
  if (status == 405) response.add("Allow", "GET, HEAD");
  if (status == 426) response.add("Upgrade", "websocket");
  const Explanation* const known = explain(status);
  if (detail.empty() && known != nullptr) detail = known->detail;
  response.add("Content-Type", "text/html; charset=utf-8");
  response.add("Content-Security-Policy", kOwnPagePolicy);
  response.body = message_page(status, reason_of(status), detail);
  return response;
}

}  // namespace splitring::http
