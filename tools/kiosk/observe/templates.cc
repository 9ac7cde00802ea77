#include "tools/kiosk/observe/templates.h"

#include <kainjow/mustache.hpp>

#include "base/parse.h"

namespace splitring::kiosk {
namespace {

using Data = kainjow::mustache::data;
using kainjow::mustache::mustache;

// Why a template is not taken; empty: it is.
std::string objection(const std::string& text) {
  // Sections are counted by how they begin, which holds as long as delimiters do.
  if (text.find("{{=") != std::string::npos) return "it changes the delimiters";
  size_t sections = 0;
  for (size_t at = text.find("{{"); at != std::string::npos; at = text.find("{{", at + 2)) {
    const size_t kind = text.find_first_not_of(" \t\r\n", at + 2);
    if (kind != std::string::npos && (text[kind] == '#' || text[kind] == '^')) sections++;
  }
  if (sections > kMaxSections) return "more than 64 sections";
  const mustache parsed(text);
  return parsed.is_valid() ? std::string() : parsed.error_message();
}

// Answers for names, and stops answering when a page has had its share.
class BoundedContext final : public kainjow::mustache::basic_context<std::string> {
 public:
  BoundedContext(const Data& root, const std::map<std::string, std::string, std::less<>>& texts)
      : inner_(&root), texts_(texts) {}

  void push(const Data* data) override { inner_.push(data); }
  void pop() override { inner_.pop(); }
  [[nodiscard]] const Data* get(const std::string& name) const override {
    return spend(lookups_, kMaxLookups) ? inner_.get(name) : nullptr;
  }
  [[nodiscard]] const Data* get_partial(const std::string& name) const override {
    const auto found = texts_.find(name);
    if (found == texts_.end() || !spend(partials_, kMaxPartials)) return nullptr;
    return &parsed_.try_emplace(name, Data(found->second)).first->second;
  }

  void append(const std::string& text) {
    exhausted_ = exhausted_ || text.size() > kMaxPageBytes - page_.size();
    if (!exhausted_) page_ += text;
  }
  [[nodiscard]] bool exhausted() const { return exhausted_; }
  [[nodiscard]] std::string take_page() { return std::move(page_); }

 private:
  bool spend(size_t& count, size_t most) const {
    exhausted_ = exhausted_ || ++count > most;
    return !exhausted_;
  }

  kainjow::mustache::context<std::string> inner_;
  const std::map<std::string, std::string, std::less<>>& texts_;
  // The library asks through a const interface.
  mutable std::map<std::string, Data, std::less<>> parsed_;
  mutable size_t lookups_ = 0;
  mutable size_t partials_ = 0;
  mutable bool exhausted_ = false;
  std::string page_;
};

Data device_data(const tools::NamedDevices::Status& device) {
  const bool attached = device.state == tools::NamedDevices::State::kPlugged;
  Data data;
  data.set("name", device.name);
  data.set("uri", device.uri);
  data.set("attached", Data(attached));
  data.set("read_only", Data(device.read_only));
  data.set("state", Data(std::string(attached ? "attached" : "not there")));
  data.set("size", format_bytes(device.capacity.bytes()));
  data.set("reads", std::to_string(device.stats.of(Operation::kRead).completed()));
  data.set("writes", std::to_string(device.stats.of(Operation::kWrite).completed()));
  return data;
}

Data page_data(const TemplateContext& context) {
  Data devices{Data::type::list};
  for (const auto& device : context.devices) devices << device_data(device);
  Data data;
  data.set("path", context.path);
  data.set("requests", std::to_string(context.service.requests));
  data.set("connections", std::to_string(context.service.open_connections));
  data.set("devices", devices);
  return data;
}

}  // namespace

Result<TemplateSet> TemplateSet::read(kv::ReadStore& store) {
  TemplateSet set;
  std::vector<std::string> keys;
  const auto warn = [&](const std::string& key, const std::string& why) {
    set.warnings_.push_back("template " + kv::printable_key(key) + " is left out: " + why);
  };
  TRY_VOID(store.iter("", [&](const std::string& key, const kv::Entry& entry) {
    if (!key.ends_with(kTemplateSuffix)) return true;
    if (keys.size() == kMaxTemplates) {
      warn(key, "there are 1000 others, and any behind it");
      return false;
    }
    if (entry.size <= kMaxTemplateBytes)
      keys.push_back(key);
    else
      warn(key, "longer than 256 KiB");
    return true;
  }));
  for (const std::string& key : keys) {
    std::string text = TRY(store.get(key, kMaxTemplateBytes));
    const std::string why = objection(text);
    if (why.empty())
      set.texts_.emplace(key.substr(0, key.size() - kTemplateSuffix.size()), std::move(text));
    else
      warn(key, why);
  }
  return set;
}

std::optional<std::string> TemplateSet::find(std::string_view path) const {
  if (texts_.empty()) return std::nullopt;
  auto key = kv::normal_key(path);
  if (!key) return std::nullopt;
  if (path.ends_with('/')) key = kv::child_key(*key, "index.html");
  if (texts_.find(*key) == texts_.end()) return std::nullopt;
  return *key;
}

Result<std::string> TemplateSet::render(const std::string& page,
                                        const TemplateContext& context) const {
  const Data data = page_data(context);
  BoundedContext bounded(data, texts_);
  mustache parsed(texts_.at(page));
  // The library's way to write somewhere else than into a string.
  struct Output {
    BoundedContext& context;
    Output& operator<<(const std::string& text) {
      context.append(text);
      return *this;
    }
  } output{bounded};
  kainjow::mustache::basic_context<std::string>& names = bounded;
  parsed.render(names, output);
  if (!bounded.exhausted()) return bounded.take_page();
  return fail(Errc::kLimit, "template " + kv::printable_key(page) +
                                ": too much work, too many partials, or a page over 1 MiB");
}

}  // namespace splitring::kiosk
