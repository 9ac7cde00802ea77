#include "tools/common/program.h"

#include <algorithm>
#include <cstdio>
#include <iostream>

#include "base/parse.h"

namespace splitring::tools {

void add_host_options(CLI::App& app, HostOptions& options) {
  app.add_option_function<std::string>(
         "--host", [&options](const std::string& text) { options.emulated = text; },
         "Directory of an emulated host (default: $SPLITRING_HOST, else Xen if this is one)")
      ->type_name("DIR");
  add_domain_option(
      app, "--domain", [&options](DomId domain) { options.domain = domain; },
      "Domain to speak for on an emulated host (default: $SPLITRING_DOMAIN, else 0)");
}

CLI::Option* add_domain_option(CLI::App& app, const std::string& name,
                               std::function<void(DomId)> take, const std::string& help) {
  return app
      .add_option_function<std::string>(
          name,
          [name, take = std::move(take)](const std::string& text) {
            const auto domain = parse_domain(text);
            if (!domain) throw CLI::ValidationError(name, domain.error().what);
            take(*domain);
          },
          help)
      ->type_name("N");
}

std::optional<int> parse_arguments(CLI::App& app, int argc, char** argv) {
  try {
    app.parse(argc, argv);
  } catch (const CLI::RequiredError& missing) {
    // A mistyped command is what CLI11 has left over when it misses one.
    const auto left_over = app.remaining(true);
    if (left_over.empty()) return app.exit(missing), kExitUsage;
    const std::string& word = left_over.front();
    std::fprintf(stderr, "%s: there is no %s \"%s\" (--help lists what there is)\n",
                 app.get_name().c_str(), word.front() == '-' ? "option" : "command",
                 printable(word).c_str());
    return kExitUsage;
  } catch (const CLI::ParseError& stopped) {
    // CLI11 prints help, the version, or what is wrong; it has an exit code for every mistake.
    return app.exit(stopped) == 0 ? kExitOk : kExitUsage;
  }
  return std::nullopt;
}

int report_failure(const std::string& who, const Error& error) {
  std::cout.flush();
  std::fprintf(stderr, "%s: %s\n", who.c_str(), printable(error.what).c_str());
  return kExitFailed;
}

std::string printable(const std::string& text) {
  std::string safe = text;
  std::replace_if(
      safe.begin(), safe.end(), [](unsigned char c) { return c < 0x20 || c == 0x7f; }, '?');
  return safe;
}

Result<DomId> parse_domain(const std::string& text) {
  const auto number = parse_decimal(text, kFirstReservedDomId - 1);
  if (!number)
    return fail(Errc::kInvalid, "\"" + printable(text) + "\" is not a domain; write 0 to " +
                                    std::to_string(kFirstReservedDomId - 1));
  return DomId{static_cast<uint16_t>(*number)};
}

}  // namespace splitring::tools
