// What all our programs share: how they are started, how they fail, and how they end.
//
// Exit codes, the same for every program: 0 done, 1 failed (one line on standard error says what,
// where and what to do), 2 the command line was wrong.
#pragma once

#include <CLI/CLI.hpp>
#include <functional>
#include <optional>
#include <string>

#include "base/result.h"
#include "xenbus/host.h"

namespace splitring::tools {

inline constexpr int kExitOk = 0;
inline constexpr int kExitFailed = 1;
inline constexpr int kExitUsage = 2;

inline constexpr const char* kVersion = "0.1.0";

// --host and --domain, as every program that speaks to a host takes them.
void add_host_options(CLI::App& app, HostOptions& options);

// An option that takes a domain's number.
CLI::Option* add_domain_option(CLI::App& app, const std::string& name,
                               std::function<void(DomId)> take, const std::string& help);

// Parses the command line. A value: there is nothing more to do, exit with it.
std::optional<int> parse_arguments(CLI::App& app, int argc, char** argv);

// "splitring: attach: ..." on standard error. Returns kExitFailed.
int report_failure(const std::string& who, const Error& error);

// Text that somebody else wrote, safe for a terminal: control bytes become '?'.
std::string printable(const std::string& text);

// A domain's number as a person types it. Usable ones are below 0x7ff0.
Result<DomId> parse_domain(const std::string& text);

}  // namespace splitring::tools
