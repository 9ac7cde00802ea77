// Addresses to listen on, and who came.
#pragma once

#include <string>

#include "base/result.h"
#include "base/unique_fd.h"

namespace splitring::http {

// "127.0.0.1:8080", "[::1]:0": numeric, so that nobody has to be asked. Errors: kInvalid; the
// system's.
Result<UniqueFd> listen_on(const std::string& address);
// "127.0.0.1:8080" of a listening socket.
Result<std::string> local_address(int fd);

// As many open files as the system lets this process have: each client is one.
void raise_descriptor_limit();

struct Accepted {
  UniqueFd fd;
  std::string client;  // its address without the port
};
// Nothing: nobody waits, or `errno` says why not.
Accepted accept_from(int listening);

}  // namespace splitring::http
