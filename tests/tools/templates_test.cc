#include "tools/kiosk/observe/templates.h"

#include <gtest/gtest.h>

#include "kv/compiled_store.h"
#include "tests/support/kv/compiled_bytes.h"

namespace splitring::kiosk {
namespace {

TemplateSet read(const std::map<std::string, std::string>& values) {
  const std::string image = test::compiled_bytes(values);
  const auto store = *kv::CompiledStore::load(std::as_bytes(std::span(image)));
  auto set = TemplateSet::read(*store);
  EXPECT_TRUE(set) << set.error().what;
  return std::move(*set);
}

TemplateContext context() {
  TemplateContext context{.path = "/page.html", .service = {}, .devices = {}};
  context.service.requests = 42;
  for (const char* name : {"content", "uploads"}) {
    auto& device = context.devices.emplace_back();
    device.name = name;
    device.uri = std::string("raw:<b>&\"'") + name;
  }
  context.devices[0].state = tools::NamedDevices::State::kPlugged;
  context.devices[0].capacity = Sectors{2048};
  return context;
}

std::string page(const std::string& text, const std::map<std::string, std::string>& others = {}) {
  auto values = others;
  values["page.html.mustache"] = text;
  return read(values).render("page.html", context()).value_or("<error>");
}

TEST(Templates, AnswerForThePathThatTheyAreNamedAfter) {
  const auto set = read({{"index.html.mustache", "i"}, {"a/b.txt.mustache", "b"}, {"c", "no"}});
  EXPECT_EQ(set.find("/"), "index.html");
  EXPECT_EQ(set.find("/index.html"), "index.html");
  EXPECT_EQ(set.find("/a/b.txt"), "a/b.txt");
  EXPECT_EQ(set.find("/a/"), std::nullopt);
  EXPECT_EQ(set.find("/c"), std::nullopt);
  EXPECT_EQ(set.find("/../index.html"), std::nullopt);
  EXPECT_TRUE(read({{"c", "no"}}).empty());
}

TEST(Templates, NameWhatTheKioskKnows) {
  EXPECT_EQ(page("{{path}} {{requests}}"), "/page.html 42");
  EXPECT_EQ(page("{{#devices}}{{name}} {{state}} {{#attached}}{{size}}{{/attached}};{{/devices}}"),
            "content attached 1 MiB;uploads not there ;");
  EXPECT_EQ(page("{{nothing}}{{#nothing}}x{{/nothing}}{{^nothing}}y{{/nothing}}"), "y");
}

TEST(Templates, H6_NamesAreEscaped) {
  EXPECT_EQ(page("{{#devices}}{{#attached}}{{uri}}{{/attached}}{{/devices}}"),
            "raw:&lt;b&gt;&amp;&quot;&apos;content");
}

TEST(Templates, IncludeOneAnother) {
  EXPECT_EQ(page("<{{> parts/menu}}>", {{"parts/menu.mustache", "{{path}}"}}), "</page.html>");
  EXPECT_EQ(page("<{{> missing}}>"), "<>");
}

TEST(Templates, H2_OnesThatNeverEndAreStopped) {
  EXPECT_EQ(page("{{> loop}}", {{"loop.mustache", "x{{> loop}}"}}), "<error>");
  EXPECT_EQ(page("{{> a}}", {{"a.mustache", "{{> b}}"}, {"b.mustache", "{{> a}}{{> a}}"}}),
            "<error>");
  std::string nested;
  for (int i = 0; i < 20; i++) nested += "{{#devices}}";
  for (int i = 0; i < 20; i++) nested += "{{/devices}}";
  EXPECT_EQ(page(nested), "<error>");
  std::string large = "{{#devices}}{{#devices}}{{#devices}}{{#devices}}";
  large += std::string(200'000, 'x') + "\n";
  large += "{{/devices}}{{/devices}}{{/devices}}{{/devices}}";
  EXPECT_EQ(page(large), "<error>");
}

TEST(Templates, H2_OnesThatAreNoGoodAreLeftOutAndSaid) {
  std::string deep;
  for (int i = 0; i < 100; i++) deep += "{{^ x}}";
  for (int i = 0; i < 100; i++) deep += "{{/ x}}";
  const auto set = read({{"a.mustache", "{{#open}}"},
                         {"b.mustache", "{{=<% %>=}}<%#x%><%/x%>"},
                         {"c.mustache", deep},
                         {"d.mustache", std::string(300'000, 'x')},
                         {"e.mustache", "good"}});
  EXPECT_EQ(set.warnings().size(), 4U);
  EXPECT_EQ(set.find("/a"), std::nullopt);
  EXPECT_EQ(set.find("/e"), "e");
}

}  // namespace
}  // namespace splitring::kiosk
