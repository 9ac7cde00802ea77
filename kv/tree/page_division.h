// How a row of entries is divided among pages: as few as can be, about evenly filled.
//
// Each page takes out the prefix of its own entries, so what fits depends on where a page begins
// and ends. Whatever fits in a page also fits without its first or last entry; so entries that came
// from pages, less some, never need more pages than those. Pure.
#pragma once

#include <span>
#include <vector>

#include "kv/tree/page.h"

namespace splitring::kv {

// One past the last entry of each page. Precondition: sorted, each fits in a page of its own.
[[nodiscard]] std::vector<size_t> divide_into_pages(std::span<const PageEntry> entries,
                                                    uint8_t kind);

}  // namespace splitring::kv
