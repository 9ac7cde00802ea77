// The back ring end to end: bytes drive a frontend that keeps no rule, against a pump on a disk.
// What must hold, whatever it does: tests/support/backend/hostile_run.h.
#include <spdlog/spdlog.h>

#include <cstdio>
#include <cstdlib>

#include "tests/support/backend/hostile_run.h"

extern "C" int LLVMFuzzerInitialize(int* /*argc*/, char*** /*argv*/) {
  spdlog::set_level(spdlog::level::off);
  return 0;
}

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const auto outcome = splitring::backend::run_hostile_frontend({data, size});
  if (outcome.fault.empty()) return 0;
  std::fprintf(stderr, "%s\n", outcome.fault.c_str());
  std::abort();
}
