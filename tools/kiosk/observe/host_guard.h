// Keeps what the kiosk tells of itself from pages of other sites (H5).
//
// A page whose own name was made to mean our address (DNS rebinding) is of our origin in a
// browser's eyes, and could read /api and /_live of a service that its reader alone can reach. Its
// requests still carry that name: who asks for these pages must have called us by our address, as
// localhost, or by a name that we were told of.
//
// One thread's, ahead of the pages that it guards.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "tools/kiosk/http/source.h"

namespace splitring::kiosk {

class HostGuard final : public http::Source {
 public:
  // `names` outlive it.
  explicit HostGuard(const std::vector<std::string>& names) : names_(names) {}
  // Takes what is not to be answered.
  bool serve(const http::Request& request, http::Exchange& exchange) override;

 private:
  const std::vector<std::string>& names_;
};

// `host`: the value of a Host header, with or without a port.
[[nodiscard]] bool is_known_host(std::string_view host, const std::vector<std::string>& names);

}  // namespace splitring::kiosk
