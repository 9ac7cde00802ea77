// splitring doctor: can this machine serve disks, or use them? What is wrong, and the command that
// mends it.
#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <memory>
#include <vector>

#include "base/parse.h"
#include "base/unique_fd.h"
#include "tools/common/control_client.h"
#include "tools/common/control_path.h"
#include "tools/splitring/command.h"
#include "tools/splitring/json_output.h"
#include "xenbus/nodes.h"

namespace splitring::tools {
namespace {

namespace fs = std::filesystem;

constexpr const char* kScriptFolder = "/etc/xen/scripts";
constexpr uint64_t kGrantablePagesWanted = 1024;  // of one frontend disk with its default pool

struct Finding {
  enum class Grade : uint8_t { kGood, kNote, kBad };
  Grade grade;
  std::string what;
  std::string mend{};  // a command; empty: nothing to do
};
using Findings = std::vector<Finding>;

constexpr const char* name_of(Finding::Grade grade) {
  switch (grade) {
    case Finding::Grade::kGood: return "ok";
    case Finding::Grade::kNote: return "note";
    case Finding::Grade::kBad: return "BAD";
  }
  return "";
}

void good(Findings& findings, std::string what) {
  findings.push_back({Finding::Grade::kGood, std::move(what)});
}
void note(Findings& findings, std::string what, std::string mend = {}) {
  findings.push_back({Finding::Grade::kNote, std::move(what), std::move(mend)});
}
void bad(Findings& findings, std::string what, std::string mend) {
  findings.push_back({Finding::Grade::kBad, std::move(what), std::move(mend)});
}

std::string first_word(const fs::path& path) {
  std::string word;
  std::ifstream(path) >> word;
  return word;
}

bool is_there(const fs::path& path) {
  std::error_code error;
  return fs::exists(path, error);
}

// `needed` by what this domain does; the others are only noted.
void check_device(Findings& findings, const char* name, const char* module, const char* purpose,
                  bool needed) {
  const std::string path = std::string("/dev/xen/") + name;
  const auto tell = [&](const std::string& what, const std::string& mend) {
    needed ? bad(findings, what, mend) : note(findings, what, mend);
  };
  if (!is_there(path))
    return tell(path + " is not there: " + purpose, std::string("modprobe ") + module);
  const UniqueFd file(::open(path.c_str(), O_RDWR | O_CLOEXEC));
  if (file) return good(findings, path + ": " + purpose);
  const int error = errno;
  tell(path + " may not be opened (" + std::error_code(error, std::generic_category()).message() +
           "): " + purpose,
       "usermod -aG splitring $USER, then log in again (the udev rule of `make install` gives that "
       "group the device)");
}

void check_grant_limit(Findings& findings) {
  const fs::path path = "/sys/module/xen_gntalloc/parameters/limit";
  const auto limit = parse_decimal(first_word(path), UINT32_MAX);
  if (!limit) return;
  const std::string what = "gntalloc grants " + std::to_string(*limit) + " pages of this domain";
  if (*limit >= kGrantablePagesWanted) return good(findings, what);
  note(findings, what + ", a disk wants " + std::to_string(kGrantablePagesWanted),
       "echo " + std::to_string(kGrantablePagesWanted) + " >" + path.string());
}

// Of the domain that serves disks.
void check_backend(Findings& findings, const Session& session, DomId domain) {
  const fs::path script = fs::path(kScriptFolder) / kHotplugScript;
  const std::string install = "make install PREFIX=/usr";
  if (!is_there(kScriptFolder))
    note(findings, std::string(kScriptFolder) + " is not there: no xl on this machine");
  else if (::access(script.c_str(), X_OK) == 0)
    good(findings, script.string() + ": xl can give disks to splitringd");
  else
    bad(findings, script.string() + " is not there: xl cannot give disks to splitringd", install);
  if (is_there("/sys/bus/xen-backend/drivers/vbd"))
    good(findings, "xen-blkback is loaded: block-splitring takes its own disks from it");
  else
    note(findings, "xen-blkback is not loaded: splitringd serves backend/vbd alone");
  const fs::path control = control_path(session.host, domain);
  const auto devices = fetch_devices(control);
  if (devices)
    good(findings, "splitringd serves " + std::to_string(devices->size()) + " disk(s)");
  else
    bad(findings, "splitringd does not answer: " + devices.error().what,
        "systemctl start splitringd");
}

Findings examine(const Session& session) {
  Findings findings;
  const auto host = open_host(session.host);
  if (!host) {
    bad(findings, host.error().what, "splitring host");
    return findings;
  }
  good(findings, (*host)->name() + ", domain " + std::to_string(raw((*host)->domain())));
  const bool controls = raw((*host)->domain()) == 0;
  if (!emulated_directory(session.host)) {
    check_device(findings, "evtchn", "xen-evtchn", "doorbells, for both sides", true);
    check_device(findings, "gntdev", "xen-gntdev", "pages of guests, to serve disks", controls);
    check_device(findings, "gntalloc", "xen-gntalloc", "pages of ours, to use disks", !controls);
    check_grant_limit(findings);
  }
  if (controls) check_backend(findings, session, (*host)->domain());
  return findings;
}

struct DoctorOptions {
  bool json = false;
};

void print(const Findings& findings) {
  for (const Finding& finding : findings) {
    std::printf("%-5s %s\n", name_of(finding.grade), printable(finding.what).c_str());
    if (!finding.mend.empty()) std::printf("      mend: %s\n", finding.mend.c_str());
  }
}

Result<> doctor(const Session& session, const DoctorOptions& options) {
  const Findings findings = examine(session);
  size_t faults = 0;
  for (const Finding& finding : findings) faults += finding.grade == Finding::Grade::kBad;
  if (options.json) {
    nlohmann::json list = nlohmann::json::array();
    for (const Finding& finding : findings)
      list.push_back(
          {{"grade", name_of(finding.grade)}, {"what", finding.what}, {"mend", finding.mend}});
    print_json(list);
  } else {
    print(findings);
  }
  std::fflush(stdout);
  if (faults == 0) return {};
  return fail(Errc::kUnsupported, std::to_string(faults) + " thing(s) to mend");
}

}  // namespace

void add_doctor_command(CLI::App& program, Session& session) {
  auto options = std::make_shared<DoctorOptions>();
  CLI::App* command =
      program.add_subcommand("doctor", "Check that this machine can serve and use disks");
  command->add_flag("--json", options->json, "As JSON");
  command->footer(
      "Examples:\n"
      "  splitring doctor\n"
      "  splitring doctor --host /tmp/host");
  runs(*command, session, options, doctor);
}

}  // namespace splitring::tools
