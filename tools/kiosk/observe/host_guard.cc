#include "tools/kiosk/observe/host_guard.h"

#include <arpa/inet.h>

#include <algorithm>
#include <array>
#include <cctype>

#include "tools/kiosk/http/response.h"

namespace splitring::kiosk {
namespace {

bool is_address(int family, const std::string& text) {
  std::array<unsigned char, sizeof(in6_addr)> address;
  return ::inet_pton(family, text.c_str(), address.data()) == 1;
}

std::string to_lower(std::string_view text) {
  std::string lower(text);
  std::ranges::transform(lower, lower.begin(),
                         [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
  return lower;
}

}  // namespace

bool is_known_host(std::string_view host, const std::vector<std::string>& names) {
  if (host.starts_with('[')) {
    const size_t end = host.find(']');
    return end != std::string_view::npos &&
           is_address(AF_INET6, std::string(host.substr(1, end - 1)));
  }
  const std::string name = to_lower(host.substr(0, host.find(':')));
  return name == "localhost" || is_address(AF_INET, name) ||
         std::ranges::any_of(names,
                             [&](const std::string& known) { return to_lower(known) == name; });
}

bool HostGuard::serve(const http::Request& request, http::Exchange& exchange) {
  const bool is_guarded = request.path == "/_live" || request.path.starts_with("/_live/") ||
                          request.path.starts_with("/api/");
  if (!is_guarded || is_known_host(request.header(http::Known::kHost), names_)) return false;
  exchange.send(http::status_page(
      403,
      "This page is shown to who calls the service by its address. To call it by a name, start "
      "the kiosk with --name NAME."));
  return true;
}

}  // namespace splitring::kiosk
