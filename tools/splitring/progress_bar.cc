#include "tools/splitring/progress_bar.h"

#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <string>

#include "base/parse.h"

namespace splitring::tools {
namespace {

constexpr uint64_t kWidth = 40;
constexpr std::chrono::milliseconds kInterval{100};

bool colours_wanted() {
  const char* no_color = std::getenv("NO_COLOR");
  return no_color == nullptr || *no_color == '\0';
}

}  // namespace

ProgressBar::ProgressBar(bool wanted)
    : enabled_(wanted && isatty(STDERR_FILENO) == 1), coloured_(colours_wanted()) {}

void ProgressBar::show(uint64_t done_bytes, uint64_t total_bytes) {
  if (!enabled_ || total_bytes == 0) return;
  const auto now = Clock::now();
  if (now < next_draw_) return;
  next_draw_ = now + kInterval;
  drawn_ = true;
  const double share = static_cast<double>(done_bytes) / static_cast<double>(total_bytes);
  const auto filled = static_cast<size_t>(share * kWidth);
  const std::chrono::duration<double> took = now - begin_;
  const double bytes_per_s = took.count() > 0 ? static_cast<double>(done_bytes) / took.count() : 0;
  std::fprintf(stderr, "\r%s[%s%s]%s %3.0f %% of %s, %s/s \x1b[K", coloured_ ? "\x1b[32m" : "",
               std::string(filled, '=').c_str(), std::string(kWidth - filled, ' ').c_str(),
               coloured_ ? "\x1b[0m" : "", share * 100, format_bytes(total_bytes).c_str(),
               format_bytes(static_cast<uint64_t>(bytes_per_s)).c_str());
}

void ProgressBar::clear() {
  if (!drawn_) return;
  drawn_ = false;
  std::fputs("\r\x1b[K", stderr);
}

}  // namespace splitring::tools
