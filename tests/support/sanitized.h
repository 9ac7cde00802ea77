// Whether a sanitizer watches, at five to twenty times the time: what counts in a test then is each
// kind of step, and no longer how many.
#pragma once

#include <cstdint>

namespace splitring::test {

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
inline constexpr bool kSanitized = true;
#else
inline constexpr bool kSanitized = false;
#endif

// How many of something random a test looks at.
template <class Count>
[[nodiscard]] constexpr Count often(Count count) {
  return kSanitized ? count / 10 : count;
}

}  // namespace splitring::test
