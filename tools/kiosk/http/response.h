// What a handler says: a status, headers, and a body that is in memory.
//
// The engine adds what it alone knows: the status line, Date, Server, Content-Length, Connection,
// and leaves the body out for HEAD.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace splitring::http {

struct Response {
  unsigned status = 200;
  std::string headers = {};  // lines "Name: value\r\n", by add()
  std::string body = {};

  // A control character in `value` becomes a blank: a value cannot end its line.
  void add(std::string_view name, std::string_view value);
};

// "Not Found". Empty for a status that we do not use.
[[nodiscard]] std::string_view reason_of(unsigned status);

// A response with a body of that type that no cache keeps: what changes from one request to the
// next.
[[nodiscard]] Response fresh_page(std::string_view content_type, std::string body);

// A page for a person: the status and why. `detail` may be anything, it is escaped; empty: what
// there is to say about the status.
[[nodiscard]] Response status_page(unsigned status, std::string_view detail = {});

}  // namespace splitring::http
