// The value of a result, for tests that cannot go on without it: an error is thrown.
#pragma once

#include <stdexcept>
#include <utility>

#include "base/result.h"

namespace splitring {

template <class T>
T must(Result<T> result) {
  if (!result) throw std::runtime_error(result.error().what);
  return std::move(result).value();
}
inline void must(const Result<>& result) {
  if (!result) throw std::runtime_error(result.error().what);
}

}  // namespace splitring
