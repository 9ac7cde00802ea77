// Whether what many threads saw of a store could have come from one transaction after another.
//
// Every transaction has a number of its own, and writes it as the value of the keys that it
// changes, having read each of them before. So which version of a key came behind which is known,
// and the history is serialisable if no circle is among: who wrote what I replaced or read, who
// replaced what I read, and who had come back before I began (strictly: in real time as well).
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

namespace splitring::testing {

struct SerialTransaction {
  uint64_t number = 0;  // not 0: that is what a key holds at first
  uint64_t begun = 0;   // ticks of one clock for all; no two are the same
  uint64_t ended = 0;
  std::map<std::string, uint64_t> seen;  // key: the number that it held
  std::vector<std::string> written;      // keys; each is in `seen`
};

// Empty: it is. Else what is wrong with it.
std::string why_not_serial(const std::vector<SerialTransaction>& history);

}  // namespace splitring::testing
