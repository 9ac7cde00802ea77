#include "tools/splitring/time_text.h"

#include <array>
#include <ctime>

namespace splitring::tools {

std::string format_time(std::optional<int64_t> unix_seconds) {
  if (!unix_seconds) return "-";
  const auto time = static_cast<std::time_t>(*unix_seconds);
  std::tm parts{};
  std::array<char, 32> text{};
  if (gmtime_r(&time, &parts) == nullptr ||
      std::strftime(text.data(), text.size(), "%Y-%m-%d %H:%M", &parts) == 0)
    return "-";
  return text.data();
}

}  // namespace splitring::tools
