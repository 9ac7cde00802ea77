// Pages that are made from templates on the disk: a value page.html.mustache answers for
// /page.html, index.html.mustache for its directory, {{> menu}} includes menu.mustache. The
// language is mustache (mustache(5)); delimiters stay {{ }}. Variables are escaped for HTML,
// {{{x}}} is not: what it names is then the template's own risk.
//
// Whoever made the image wrote the templates: their number, size, nesting, work and output are
// bounded. Read once, when the disk is plugged; then immutable, and shared by all threads.
#pragma once

#include <cstddef>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "kv/read_store.h"
#include "tools/kiosk/observe/figures.h"

namespace splitring::kiosk {

inline constexpr std::string_view kTemplateSuffix = ".mustache";
inline constexpr size_t kMaxTemplates = 1000;
inline constexpr uint64_t kMaxTemplateBytes = 256U << 10;
inline constexpr size_t kMaxSections = 64;     // of one template
inline constexpr size_t kMaxPartials = 32;     // included by one page
inline constexpr size_t kMaxLookups = 20'000;  // of names, for one page
inline constexpr size_t kMaxPageBytes = size_t{1} << 20;

// What a template can name:
//   path                      of the page, as asked for
//   requests, connections     of the service
//   devices                   a list: name, uri, state, attached, read_only, size, reads, writes
struct TemplateContext {
  std::string path;
  ServiceFigures service;
  std::vector<tools::NamedDevices::Status> devices;
};

class TemplateSet {
 public:
  // Every template of the store. What is no good is left out with a warning. Errors: the medium's.
  static Result<TemplateSet> read(kv::ReadStore& store);

  [[nodiscard]] bool empty() const { return texts_.empty(); }
  [[nodiscard]] const std::vector<std::string>& warnings() const { return warnings_; }
  // The template for a path as a client asks for it, without its suffix. Nothing: there is none.
  [[nodiscard]] std::optional<std::string> find(std::string_view path) const;
  // Precondition: find() returned `page`. kLimit: the page would be too large, or too much work.
  [[nodiscard]] Result<std::string> render(const std::string& page,
                                           const TemplateContext& context) const;

 private:
  std::map<std::string, std::string, std::less<>> texts_;  // by key without the suffix
  std::vector<std::string> warnings_;
};

}  // namespace splitring::kiosk
