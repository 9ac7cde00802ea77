#include "fs/tar/tar_table.h"

#include "fs/tar/saved_pages.h"

namespace splitring {

const TarRecord& TarTable::nothing() {
  static const TarRecord record{};
  return record;
}

bool TarTable::is_read(const void* at, size_t bytes) const {
  return parts_.pages->ready(static_cast<const std::byte*>(at), bytes);
}

}  // namespace splitring
