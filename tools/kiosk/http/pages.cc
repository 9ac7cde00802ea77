#include "tools/kiosk/http/loop.h"
#include "tools/kiosk/http/source.h"

namespace splitring::http {

class PageSource final : public Source {
 public:
  explicit PageSource(const Pages& pages) : pages_(pages) {}

  bool serve(const Request& request, Exchange& exchange) override {
    const Pages::Route* const route = pages_.find(request.path);
    if (route == nullptr) return false;
    if (!route->socket)
      exchange.send(route->page(request));
    else if (accepts_web_socket(request))
      exchange.upgrade(request, route->socket(request, exchange.loop()));
    else
      exchange.send(status_page(426));
    return true;
  }

 private:
  const Pages& pages_;
};

void Pages::add(std::string path, Page page) {
  routes_.push_back({std::move(path), std::move(page), nullptr});
}

void Pages::add_socket(std::string path, SocketPage page) {
  routes_.push_back({std::move(path), nullptr, std::move(page)});
}

const Pages::Route* Pages::find(std::string_view path) const {
  const Route* best = nullptr;
  for (const Route& route : routes_) {
    const bool fits = route.path.ends_with('/') ? path.starts_with(route.path) : path == route.path;
    if (fits && (best == nullptr || best->path.size() < route.path.size())) best = &route;
  }
  return best;
}

std::unique_ptr<Source> Pages::source() const { return std::make_unique<PageSource>(*this); }

}  // namespace splitring::http
