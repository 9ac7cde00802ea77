#include "tools/kiosk/content/fill.h"

#include <array>

namespace splitring::kiosk {
namespace {

using http::Known;

constexpr std::array kConditions = {Known::kIfMatch,         Known::kIfNoneMatch,
                                    Known::kIfModifiedSince, Known::kIfUnmodifiedSince,
                                    Known::kIfRange,         Known::kRange};

}  // namespace

SavedRequest::SavedRequest(const http::Request& request) : is_head_(request.is_head()) {
  for (const Known name : kConditions)
    if (!request.header(name).empty()) conditions_.emplace_back(name, request.header(name));
}

http::Request SavedRequest::get() const {
  http::Request request;
  request.method = is_head_ ? http::Method::kHead : http::Method::kGet;
  for (const auto& [name, value] : conditions_) request.known[static_cast<size_t>(name)] = value;
  return request;
}

bool has_conditions(const http::Request& request) {
  for (const Known name : kConditions)
    if (!request.header(name).empty()) return true;
  return false;
}

StoreSource::Fill::Fill(StoreSource& source, std::string its_key, std::shared_ptr<Mount> mount,
                        Found found)
    : key(std::move(its_key)),
      file(std::move(found.file)),
      to_make(found.to_make),
      bytes(found.value->size()),
      source_(source),
      reader_(std::move(mount), std::move(found.value), *this) {}

void StoreSource::Fill::read_on() {
  if (gathered_.size() == bytes)
    source_.filled(*this, std::as_bytes(std::span(gathered_)));
  else
    reader_.read(gathered_.size(), bytes - gathered_.size());
}

void StoreSource::Fill::on_bytes(std::span<const std::byte> some) {
  if (some.size() == bytes) return source_.filled(*this, some);
  gathered_.reserve(bytes);
  gathered_.append(reinterpret_cast<const char*>(some.data()), some.size());
  read_on();
}

void StoreSource::Fill::on_failure(IoStatus /*status*/) { source_.fill_failed(*this); }

}  // namespace splitring::kiosk
