#include "fs/tar/tar_table.h"

namespace splitring {

const TarRecord& TarTable::nothing() {
  static const TarRecord record{};
  return record;
}

}  // namespace splitring
