// libFuzzer: the input changes a good store, byte by byte, and its hashes are made right again, so
// that what lies behind them is reached. Opening, reading, checking and writing stay inside and
// end.
//
// Input: records of 6 bytes: page (1), offset in it (2), what to do (1), value (2).
#include <algorithm>
#include <cstring>

#include "blkimage/memory_disk.h"
#include "kv/tree/check.h"
#include "kv/tree/store.h"

namespace {

using namespace splitring;

constexpr size_t kDiskBytes = size_t{1} << 20;
constexpr uint64_t kPages = kDiskBytes / kv::kPageBytes;
const kv::StoreOptions kOptions{.cache_bytes = 0, .background = false};

std::vector<std::byte> good_store() {
  auto disk = std::move(*MemoryDisk::create(Sectors::from_bytes(kDiskBytes)));
  if (!kv::TreeStore::create(*disk, {.ring_bytes = 64 << 10})) std::abort();
  auto store = std::move(*kv::TreeStore::open(*disk, kOptions));
  auto session = std::move(*store->session());
  for (int round = 0; round < 3; round++) {
    const auto done = session->with_tx([&](kv::Transaction& tx) -> Result<> {
      for (int i = 0; i < 150; i++)
        TRY_VOID(tx.put(kv::kDefaultTree, "key" + std::to_string(i * 7 + round),
                        std::string(static_cast<size_t>(i % 30 == 0 ? 5000 : 60), 'v')));
      return {};
    });
    if (!done || (round == 0 && !session->create_snapshot("s"))) std::abort();
    if (round == 1 && !session->checkpoint()) std::abort();
  }
  session.reset();
  store.reset();
  std::vector<std::byte> image(kDiskBytes);
  if (!(*disk->open_queue({}))->read({0}, image)) std::abort();
  return image;
}

std::byte* page(std::vector<std::byte>& image, uint64_t number) {
  return image.data() + number * kv::kPageBytes;
}

// Makes the hash of a pointer to a page, and of all below it, right. Levels go down, so it ends.
void mend(std::vector<std::byte>& image, std::byte* pointer, unsigned level, unsigned& budget) {
  const kv::Pointer old = kv::load_pointer(pointer);
  if (old.page == 0 || old.page >= kPages || budget-- == 0) return;
  std::byte* const child = page(image, old.page);
  if (level > 0 && kv::PageView::check(child, old.page, level, kPages)) {
    const kv::PageView view(child);
    for (size_t i = 0; i < view.count() && budget != 0; i++) {
      const size_t slots = kv::PageView::slots_offset(view.prefix().size());
      mend(image, child + kv::load_le<uint16_t>(child + slots + i * kv::kSlotBytes + 4), level - 1,
           budget);
    }
  }
  kv::Pointer right = old;
  right.hash = kv::hash_of({child, kv::kPageBytes});
  kv::store_pointer(pointer, right);
}

void mend_all(std::vector<std::byte>& image) {
  for (const uint64_t number : {uint64_t{0}, uint64_t{1}, kPages - 2, kPages - 1}) {
    kv::DiskSuperblock super;
    std::byte* const at = page(image, number);
    std::memcpy(&super, at, sizeof super);
    unsigned budget = 2000;
    const uint32_t level = super.catalogue_level;
    std::byte* const pointer = at + offsetof(kv::DiskSuperblock, catalogue);
    // The catalogue's own entries point to the trees of branches and snapshots.
    if (level == 0 && super.catalogue.page < kPages && super.catalogue.page != 0) {
      std::byte* const leaf = page(image, super.catalogue.page);
      if (kv::PageView::check(leaf, super.catalogue.page, 0, kPages)) {
        const kv::PageView view(leaf);
        for (size_t i = 0; i < view.count(); i++) {
          const kv::Bytes entry = view.payload(i);
          if (entry.size() < 64) continue;
          auto* const root = const_cast<std::byte*>(entry.data()) + 32;
          mend(image, root, std::to_integer<unsigned>(entry[1]) % 16, budget);
        }
      }
    }
    mend(image, pointer, std::min(level, 15U), budget);
    std::memcpy(&super, at, sizeof super);
    const kv::Hash hash = kv::hash_of({at, offsetof(kv::DiskSuperblock, hash_low)});
    super.hash_low = hash.low;
    super.hash_high = hash.high;
    std::memcpy(at, &super, sizeof super);
  }
}

void use(BlockDevice& disk) {
  auto store = kv::TreeStore::open(disk, kOptions);
  if (!store) return;
  auto session = std::move(*(*store)->session());
  const auto report = kv::StoreCheck::run(**store, *session);
  if (auto view = session->view(); view) {
    size_t seen = 0;
    auto cursor = view->cursor(kv::kDefaultTree);
    std::string value;
    for (auto more = cursor.first(); more && *more && seen < 5000; more = cursor.next(), seen++)
      (void)view->value(cursor, value, 1 << 20);
    for (auto more = cursor.last(); more && *more && seen < 5000; more = cursor.previous()) seen++;
    (void)view->get(kv::kDefaultTree, "key7");
    (void)view->get_many(kv::kDefaultTree, std::vector<std::string>{"key1", "key8", "x"});
  }
  (void)session->with_tx([](kv::Transaction& tx) -> Result<> {
    TRY_VOID(tx.put(kv::kDefaultTree, "key7", std::string(3000, 'n')));
    return tx.remove(kv::kDefaultTree, "key14");
  });
  (void)session->checkpoint();
  (void)session->remove_snapshot("s");
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  static const std::vector<std::byte> kGood = good_store();
  static const auto kDisk = std::move(*MemoryDisk::create(Sectors::from_bytes(kDiskBytes)));
  std::vector<std::byte> image = kGood;
  bool mended = true;
  for (size_t at = 0; at + 6 <= size && at < 600; at += 6) {
    const uint8_t* const record = data + at;
    std::byte* const where = page(image, record[0]) + (record[1] | record[2] << 8) % 4088;
    const auto value = static_cast<uint16_t>(record[4] | record[5] << 8);
    switch (record[3] % 4) {
      case 0: *where = std::byte{record[4]}; break;
      case 1: kv::store_le(where, value); break;
      case 2: kv::store_le(where, uint64_t{value}); break;
      default: mended = !mended; break;
    }
  }
  if (mended) mend_all(image);
  if (!(*kDisk->open_queue({}))->write({0}, image)) std::abort();
  use(*kDisk);
  return 0;
}
