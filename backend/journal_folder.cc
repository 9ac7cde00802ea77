#include "backend/journal_folder.h"

#include <optional>
#include <string>
#include <string_view>
#include <system_error>

#include "backend/handover.h"
#include "backend/ring_journal.h"
#include "base/parse.h"
#include "xenbus/nodes.h"

namespace splitring::backend {
namespace {

constexpr char kSeparator = '-';

// The number behind the last separator, which goes with it.
std::optional<uint64_t> last_number(std::string& name, uint64_t max) {
  const size_t at = name.rfind(kSeparator);
  if (at == std::string::npos) return std::nullopt;
  const auto number = parse_decimal(std::string_view(name).substr(at + 1), max);
  name.resize(at);
  return number;
}

std::optional<DevicePath> device_of(std::string name, DomId backend) {
  const auto queue = last_number(name, kMaxQueues - 1);
  const auto device = queue ? last_number(name, UINT32_MAX) : std::nullopt;
  const auto guest = device ? last_number(name, kFirstReservedDomId - 1) : std::nullopt;
  if (!guest || name.empty()) return std::nullopt;
  return DevicePath{name, backend, DomId{static_cast<uint16_t>(*guest)},
                    static_cast<uint32_t>(*device)};
}

}  // namespace

std::filesystem::path journal_path(const std::filesystem::path& folder, const DevicePath& device,
                                   size_t queue) {
  return folder / (device.kind + kSeparator + std::to_string(raw(device.frontend)) + kSeparator +
                   std::to_string(device.device) + kSeparator + std::to_string(queue));
}

Result<> set_up_journals(const std::filesystem::path& folder, StoreView& store, DomId backend) {
  namespace fs = std::filesystem;
  std::error_code error;
  fs::create_directories(folder, error);
  if (!error) fs::permissions(folder, fs::perms::owner_all, error);
  if (error) return fail_errno("a folder for journals, " + folder.string(), error.value());
  for (fs::directory_iterator at(folder, error), end; !error && at != end; at.increment(error)) {
    const auto device = device_of(at->path().filename().string(), backend);
    if (!device) continue;
    const auto token = read_optional(store, device->backend_directory() + "/" + kJournalNode);
    std::error_code ignored;
    if (token && !*token) fs::remove(at->path(), ignored);
  }
  if (error) return fail_errno("the folder for journals, " + folder.string(), error.value());
  return {};
}

// A process that ends lets go of its files one after the other.
bool journals_in_use(const std::filesystem::path& folder, const DevicePath& device) {
  std::error_code ignored;
  for (size_t queue = 0; queue < kMaxQueues; queue++) {
    const auto path = journal_path(folder, device, queue);
    if (RingJournal::in_use(path)) return true;
    if (!std::filesystem::exists(path, ignored)) return false;
  }
  return false;
}

void remove_journals(const std::filesystem::path& folder, const DevicePath& device) {
  std::error_code ignored;
  for (size_t queue = 0; queue < kMaxQueues; queue++)
    if (!std::filesystem::remove(journal_path(folder, device, queue), ignored)) return;
}

}  // namespace splitring::backend
