// One line for every answer, in the common log format:
//
//   192.0.2.7 - - [22/Nov/2026:14:02:11 +0000] "GET /a.html HTTP/1.1" 200 1024
//
// What a client wrote is escaped, so that no request can end a line, close the quotes or speak to a
// terminal. Lines of all threads go to one descriptor, whole lines at a time. A thread's lines are
// in order; those of two threads may change places within a turn of their loops.
#pragma once

#include <cstdint>
#include <ctime>
#include <string>
#include <string_view>

#include "base/result.h"
#include "base/unique_fd.h"

namespace splitring::http {

// Thread-safe: an append of whole lines is one write.
class AccessLog {
 public:
  // Appends to a file; "-" is standard output.
  static Result<AccessLog> open(const std::string& path);
  void write(std::string_view lines) const;
  // Goes on in a new file of that name, if the old one has been renamed. Errors: it goes on in the
  // old one.
  Result<> reopen() const;

 private:
  AccessLog(std::string path, UniqueFd fd) : path_(std::move(path)), fd_(std::move(fd)) {}
  std::string path_;
  UniqueFd fd_;  // its number stays the same
};

// Quotes, backslashes, and bytes that are not visible ASCII or a blank, as \xNN.
[[nodiscard]] std::string escape_log(std::string_view text);

// `request_line` is escaped already.
void append_log_line(std::string& out, std::string_view client, std::time_t when,
                     std::string_view request_line, unsigned status, uint64_t body_bytes);

}  // namespace splitring::http
