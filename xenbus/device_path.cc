#include "xenbus/device_path.h"

#include <array>
#include <optional>

#include "base/parse.h"

namespace splitring {
namespace {

constexpr uint32_t kExtended = 1U << 28;
constexpr uint32_t kXvdMajor = 202;
constexpr uint32_t kSdMajor = 8;
constexpr std::array<uint32_t, 2> kHdMajors = {3, 22};
constexpr uint32_t kMaxDisks = 1U << 20;  // of an extended number

// "a" -> 0, "z" -> 25, "aa" -> 26.
std::optional<uint32_t> disk_index(std::string_view letters) {
  if (letters.empty() || letters.size() > 4) return std::nullopt;
  uint32_t index = 0;
  for (const char c : letters) {
    if (c < 'a' || c > 'z') return std::nullopt;
    index = index * 26 + static_cast<uint32_t>(c - 'a') + 1;
  }
  return index - 1;
}

std::string disk_letters(uint32_t index) {
  std::string letters;
  for (uint32_t rest = index + 1; rest != 0; rest = (rest - 1) / 26)
    letters.insert(letters.begin(), static_cast<char>('a' + (rest - 1) % 26));
  return letters;
}

std::optional<uint32_t> number_of(std::string_view bus, uint32_t disk, uint32_t partition) {
  if (bus == "xvd") {
    if (disk < 16 && partition < 16) return kXvdMajor << 8 | disk << 4 | partition;
    if (disk < kMaxDisks && partition < 256) return kExtended | disk << 8 | partition;
  } else if (bus == "sd") {
    if (disk < 16 && partition < 16) return kSdMajor << 8 | disk << 4 | partition;
  } else if (bus == "hd") {
    if (disk < 4 && partition < 64) return kHdMajors[disk / 2] << 8 | (disk % 2) << 6 | partition;
  }
  return std::nullopt;
}

std::string name_of(const char* bus, uint32_t disk, uint32_t partition) {
  return bus + disk_letters(disk) + (partition == 0 ? "" : std::to_string(partition));
}

}  // namespace

Result<uint32_t> virtual_device_number(std::string_view name) {
  if (const auto number = parse_decimal(name, UINT32_MAX)) return static_cast<uint32_t>(*number);
  for (const std::string_view bus : {"xvd", "sd", "hd"}) {
    if (!name.starts_with(bus)) continue;
    const std::string_view rest = name.substr(bus.size());
    const size_t digits = rest.find_first_of("0123456789");
    const auto disk = disk_index(rest.substr(0, digits));
    const auto partition =
        digits == rest.npos ? std::optional<uint64_t>(0) : parse_decimal(rest.substr(digits), 255);
    if (!disk || !partition) break;
    if (const auto number = number_of(bus, *disk, static_cast<uint32_t>(*partition)))
      return *number;
  }
  return fail(Errc::kInvalid,
              "\"" + std::string(name) + "\" is not a virtual device; write xvda, xvdb, ...");
}

std::string virtual_device_name(uint32_t number) {
  if ((number & kExtended) != 0 && number >> 29 == 0)
    return name_of("xvd", number >> 8 & (kMaxDisks - 1), number & 255);
  const uint32_t major = number >> 8;
  const uint32_t minor = number & 255;
  if (major == kXvdMajor) return name_of("xvd", minor >> 4, minor & 15);
  if (major == kSdMajor) return name_of("sd", minor >> 4, minor & 15);
  for (uint32_t i = 0; i < kHdMajors.size(); i++)
    if (major == kHdMajors[i] && minor < 128)
      return name_of("hd", 2 * i + (minor >> 6), minor & 63);
  return std::to_string(number);
}

std::string DevicePath::backend_directory() const {
  return "/local/domain/" + std::to_string(raw(backend)) + "/backend/" + kind + "/" +
         std::to_string(raw(frontend)) + "/" + std::to_string(device);
}

std::string DevicePath::frontend_directory() const {
  return "/local/domain/" + std::to_string(raw(frontend)) + "/device/vbd/" + std::to_string(device);
}

}  // namespace splitring
