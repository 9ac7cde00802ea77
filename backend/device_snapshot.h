// What a step of a device reads of both directories, and how it speaks of it.
// For device*.cc alone.
#pragma once

#include <spdlog/spdlog.h>

#include <optional>
#include <string>

#include "backend/device.h"

namespace splitring::backend {

// Nodes of the backend's directory, read in one transaction, belong to the toolstack, those of the
// frontend's to the guest. Only the former say where the latter is (B31).
struct Device::Snapshot {
  bool exists = false;
  bool belongs = false;  // the two directories point at each other
  bool online = false;
  bool ready = false;               // the toolstack's script, if there is one, has finished
  bool handover = false;            // the script wants us to take the device over
  bool rest = false;                // a backend before us has left its rings in order
  std::optional<uint64_t> journal;  // the token of the journals that a backend before us has left
  bool discard_enabled = true;
  XenbusState own = XenbusState::kUnknown;
  XenbusState frontend = XenbusState::kUnknown;
  std::string target;
  std::string mode;

  // The rings of a backend before us are there, and their frontend waits for its answers.
  [[nodiscard]] bool goes_on() const {
    return (rest || journal) && own == XenbusState::kConnected &&
           frontend == XenbusState::kConnected;
  }
};

template <class... Args>
void Device::log(spdlog::level::level_enum level, fmt::format_string<Args...> format,
                 Args&&... args) {
  const auto not_shown = log_limit_->admit(LogLimit::Clock::now());
  if (!not_shown) return;
  spdlog::log(level, "{}: {}", name_, fmt::format(format, std::forward<Args>(args)...));
}

}  // namespace splitring::backend
