#include "tools/kiosk/http/prepared.h"

#include <cstring>
#include <new>

#include "tools/kiosk/http/response_head.h"

namespace splitring::http {

PreparedRef Prepared::make(const Response& response, std::span<const std::byte> body,
                           std::shared_ptr<uint64_t> live_bytes) {
  const ResponseHead head = make_head(response, body.size());
  PreparedRef made(new Prepared(std::move(live_bytes)));
  made->memory_.reset(new (std::nothrow) char[head.text.size() + body.size()]);
  if (made->memory_ == nullptr) return {};
  std::memcpy(made->memory_.get(), head.text.data(), head.text.size());
  if (!body.empty()) std::memcpy(made->memory_.get() + head.text.size(), body.data(), body.size());
  made->bytes_ = head.text.size() + body.size();
  made->head_bytes_ = head.text.size();
  made->date_at_ = head.date_at;
  made->status_ = response.status;
  made->cost_ = cost(body.size());
  *made->live_bytes_ += made->cost_;
  return made;
}

void Prepared::set_date(std::time_t now, std::string_view http_date) {
  if (now == date_) return;
  date_ = now;
  std::memcpy(memory_.get() + date_at_, http_date.data(), kHttpDateBytes);
}

}  // namespace splitring::http
