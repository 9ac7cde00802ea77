#include "tools/kiosk/http/response_head.h"

#include <charconv>

namespace splitring::http {

ResponseHead make_head(const Response& response, std::optional<uint64_t> length,
                       Persistence persistence) {
  const auto append_number = [](std::string& text, uint64_t number) {
    char digits[20];
    const auto end = std::to_chars(digits, digits + sizeof digits, number).ptr;
    text.append(digits, end);
  };
  ResponseHead head;
  std::string& text = head.text;
  text.reserve(160 + response.headers.size());
  text = "HTTP/1.1 ";
  append_number(text, response.status);
  text.append(" ").append(reason_of(response.status));
  text += "\r\nServer: splitring-kiosk\r\nDate: ";
  head.date_at = text.size();
  text.append(kHttpDateBytes, ' ');
  text += "\r\nX-Content-Type-Options: nosniff\r\n";
  text += response.headers;
  if (length) {
    text += "Content-Length: ";
    append_number(text, *length);
    text += "\r\n";
  }
  if (persistence == Persistence::kClose) text += "Connection: close\r\n";
  if (persistence == Persistence::kKeepAlive) text += "Connection: keep-alive\r\n";
  text += "\r\n";
  return head;
}

}  // namespace splitring::http
