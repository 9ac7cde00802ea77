#include "xenbus/nodes.h"

#include <algorithm>
#include <bit>
#include <set>

#include "base/parse.h"

namespace splitring {
namespace {

constexpr size_t kMaxProtocolBytes = 32;
constexpr size_t kMaxInstanceBytes = 64;
constexpr uint32_t kInfoReadOnly = 4;                      // VDISK_READONLY
constexpr uint64_t kMaxSectors = uint64_t{1} << (63 - 9);  // as many as have a byte offset
constexpr uint32_t kMaxPhysicalBlockBytes = 1U << 24;
constexpr uint64_t kMaxIndirectSegments = 8 * 512;  // BLKIF_MAX_INDIRECT_PAGES_PER_REQUEST, full

// What a peer wrote, fit for a line of a log or a terminal.
std::string printable(std::string value) {
  constexpr size_t kEnough = 64;
  if (value.size() > kEnough) value.resize(kEnough);
  for (char& c : value)
    if (c < ' ' || c > '~') c = '?';
  return value;
}

tl::unexpected<Error> bad_node(const std::string& path, const std::string& value,
                               const std::string& expected) {
  return fail(Errc::kPeer, path + " is \"" + printable(value) + "\", not " + expected);
}

Result<bool> read_flag(StoreView& store, const std::string& path) {
  return TRY(read_number(store, path, 1)).value_or(0) == 1;
}

Result<uint64_t> read_required(StoreView& store, const std::string& path, uint64_t max) {
  const auto number = TRY(read_number(store, path, max));
  if (!number) return fail(Errc::kPeer, path + " is missing");
  return *number;
}

Result<> write_number(StoreView& store, const std::string& path, uint64_t number) {
  return store.write(path, std::to_string(number));
}

// The ring pages and port below `directory`: the device's own, or one queue's. No page may be one
// of `used`, to which they are added.
Result<QueueNodes> read_queue(StoreView& store, const std::string& directory, uint32_t pages,
                              bool legacy_name, std::set<GrantRef>& used) {
  QueueNodes queue;
  for (uint32_t i = 0; i < pages; i++) {
    const std::string name = legacy_name ? "/ring-ref" : "/ring-ref" + std::to_string(i);
    const auto ref = static_cast<uint32_t>(TRY(read_required(store, directory + name, UINT32_MAX)));
    if (!used.insert(GrantRef{ref}).second)
      return bad_node(directory + name, std::to_string(ref), "a ref of its own");
    queue.ring_refs.push_back(GrantRef{ref});
  }
  queue.event_channel = Port{
      static_cast<uint32_t>(TRY(read_required(store, directory + "/event-channel", UINT32_MAX)))};
  return queue;
}

// 0 pages: the legacy form, one page named ring-ref.
Result<uint32_t> read_ring_pages(StoreView& store, const std::string& frontend_directory,
                                 const BackendOffer& offer) {
  const auto order = TRY(read_number(store, frontend_directory + "/ring-page-order", UINT32_MAX));
  const auto pages = TRY(read_number(store, frontend_directory + "/num-ring-pages", UINT32_MAX));
  const uint64_t most = uint64_t{1} << offer.max_ring_page_order;
  if (order) {
    if (*order > offer.max_ring_page_order)
      return bad_node(frontend_directory + "/ring-page-order", std::to_string(*order),
                      "at most " + std::to_string(offer.max_ring_page_order));
    return 1U << *order;
  }
  if (pages) {
    if (!is_power_of_two(*pages) || *pages > most)
      return bad_node(frontend_directory + "/num-ring-pages", std::to_string(*pages),
                      "a power of two of at most " + std::to_string(most));
    return static_cast<uint32_t>(*pages);
  }
  return 0U;
}

Result<> write_queue(StoreView& store, const std::string& directory, const QueueNodes& queue,
                     bool legacy_name) {
  for (size_t i = 0; i < queue.ring_refs.size(); i++)
    TRY_VOID(write_number(store,
                          directory + (legacy_name ? "/ring-ref" : "/ring-ref" + std::to_string(i)),
                          raw(queue.ring_refs[i])));
  return write_number(store, directory + "/event-channel", raw(queue.event_channel));
}

Result<> remove_if_there(StoreView& store, const std::string& path) {
  auto removed = store.remove(path);
  if (!removed && removed.error().code != Errc::kNotFound) return removed;
  return {};
}

}  // namespace

Result<std::optional<std::string>> read_optional(StoreView& store, const std::string& path) {
  auto value = store.read(path);
  if (value) return std::optional(std::move(*value));
  if (value.error().code == Errc::kNotFound) return std::optional<std::string>();
  return tl::unexpected(std::move(value).error());
}

Result<std::optional<uint64_t>> read_number(StoreView& store, const std::string& path,
                                            uint64_t max) {
  const auto text = TRY(read_optional(store, path));
  if (!text) return std::optional<uint64_t>();
  const auto number = parse_decimal(*text, max);
  if (!number) return bad_node(path, *text, "a number of at most " + std::to_string(max));
  return number;
}

Result<XenbusState> read_state(StoreView& store, const std::string& directory) {
  const auto text = TRY(read_optional(store, directory + "/state"));
  return text ? xenbus_state_from(*text) : XenbusState::kUnknown;
}

Result<> write_state(StoreView& store, const std::string& directory, XenbusState state) {
  return store.write(directory + "/state", to_node(state));
}

Result<> write_offer(StoreView& store, const std::string& directory, const BackendOffer& offer) {
  TRY_VOID(write_number(store, directory + "/multi-queue-max-queues", offer.max_queues));
  TRY_VOID(write_number(store, directory + "/max-ring-page-order", offer.max_ring_page_order));
  TRY_VOID(write_number(store, directory + "/max-ring-pages", 1U << offer.max_ring_page_order));
  TRY_VOID(write_number(store, directory + "/feature-persistent", offer.persistent_grants ? 1 : 0));
  if (!offer.instance.empty())
    TRY_VOID(store.write(directory + "/splitring-instance", offer.instance));
  if (offer.max_indirect_segments == 0)
    return remove_if_there(store, directory + "/feature-max-indirect-segments");
  return write_number(store, directory + "/feature-max-indirect-segments",
                      offer.max_indirect_segments);
}

Result<BackendOffer> read_offer(StoreView& store, const std::string& directory) {
  BackendOffer offer;
  const auto queues =
      TRY(read_number(store, directory + "/multi-queue-max-queues", UINT32_MAX)).value_or(1);
  offer.max_queues = static_cast<uint32_t>(std::clamp<uint64_t>(queues, 1, kMaxQueues));
  const auto order = TRY(read_number(store, directory + "/max-ring-page-order", UINT32_MAX));
  const auto pages = TRY(read_number(store, directory + "/max-ring-pages", UINT32_MAX)).value_or(1);
  constexpr uint64_t kMaxOrder = std::countr_zero(kMaxRingPages);
  const uint64_t from_pages =
      pages == 0 ? 0 : static_cast<uint64_t>(std::bit_width(std::bit_floor(pages)) - 1);
  offer.max_ring_page_order =
      static_cast<uint32_t>(std::min(order.value_or(from_pages), kMaxOrder));
  const auto segments =
      TRY(read_number(store, directory + "/feature-max-indirect-segments", UINT32_MAX)).value_or(0);
  offer.max_indirect_segments = static_cast<uint32_t>(std::min(segments, kMaxIndirectSegments));
  offer.persistent_grants = TRY(read_flag(store, directory + "/feature-persistent"));
  offer.instance = TRY(read_optional(store, directory + "/splitring-instance")).value_or("");
  if (offer.instance.size() > kMaxInstanceBytes) offer.instance.clear();
  return offer;
}

Result<> write_disk(StoreView& store, const std::string& directory, const DiskNodes& disk) {
  const auto number = [&](const char* name, uint64_t value) {
    return write_number(store, directory + name, value);
  };
  TRY_VOID(number("/feature-flush-cache", disk.flush ? 1 : 0));
  TRY_VOID(number("/feature-barrier", disk.barrier ? 1 : 0));
  TRY_VOID(number("/feature-discard", disk.discard ? 1 : 0));
  if (disk.discard) {
    TRY_VOID(number("/discard-granularity", disk.discard_granularity_bytes));
    TRY_VOID(number("/discard-alignment", 0));
    TRY_VOID(number("/discard-secure", 0));
  }
  TRY_VOID(number("/sectors", disk.capacity.count));
  TRY_VOID(number("/info", disk.info | (disk.read_only ? kInfoReadOnly : 0)));
  TRY_VOID(number("/sector-size", disk.block_bytes));
  return number("/physical-sector-size", disk.physical_block_bytes);
}

Result<DiskNodes> read_disk(StoreView& store, const std::string& directory) {
  DiskNodes disk;
  disk.capacity = {TRY(read_required(store, directory + "/sectors", kMaxSectors))};
  disk.block_bytes =
      static_cast<uint32_t>(TRY(read_required(store, directory + "/sector-size", UINT32_MAX)));
  if (disk.block_bytes != kSectorSize && disk.block_bytes != kPageSize)
    return bad_node(directory + "/sector-size", std::to_string(disk.block_bytes), "512 or 4096");
  if (disk.capacity.count == 0 || disk.capacity.bytes() % disk.block_bytes != 0)
    return bad_node(directory + "/sectors", std::to_string(disk.capacity.count),
                    "a positive multiple of sector-size / 512");
  disk.physical_block_bytes = static_cast<uint32_t>(
      TRY(read_number(store, directory + "/physical-sector-size", kMaxPhysicalBlockBytes))
          .value_or(disk.block_bytes));
  if (!is_power_of_two(disk.physical_block_bytes) || disk.physical_block_bytes < disk.block_bytes)
    return bad_node(directory + "/physical-sector-size", std::to_string(disk.physical_block_bytes),
                    "a power of two of at least sector-size");
  disk.info = static_cast<uint32_t>(TRY(read_required(store, directory + "/info", UINT32_MAX)));
  disk.read_only =
      (disk.info & kInfoReadOnly) != 0 || TRY(read_optional(store, directory + "/mode")) == "r";
  disk.flush = TRY(read_flag(store, directory + "/feature-flush-cache"));
  disk.barrier = TRY(read_flag(store, directory + "/feature-barrier"));
  disk.discard = TRY(read_flag(store, directory + "/feature-discard"));
  if (disk.discard) {
    disk.discard_granularity_bytes = static_cast<uint32_t>(
        TRY(read_number(store, directory + "/discard-granularity", UINT32_MAX))
            .value_or(disk.block_bytes));
    if (disk.discard_granularity_bytes == 0 ||
        disk.discard_granularity_bytes % disk.block_bytes != 0)
      return bad_node(directory + "/discard-granularity",
                      std::to_string(disk.discard_granularity_bytes), "a multiple of sector-size");
  }
  return disk;
}

Result<> write_frontend(StoreView& store, const std::string& directory,
                        const FrontendNodes& nodes) {
  TRY_VOID(remove_frontend(store, directory));
  if (nodes.protocol) TRY_VOID(store.write(directory + "/protocol", *nodes.protocol));
  TRY_VOID(write_number(store, directory + "/feature-persistent", nodes.persistent_grants ? 1 : 0));
  const auto pages = static_cast<uint32_t>(nodes.queues.at(0).ring_refs.size());
  // A single page goes by its old name, which every backend knows.
  if (pages > 1) {
    TRY_VOID(write_number(store, directory + "/ring-page-order",
                          static_cast<uint64_t>(std::countr_zero(pages))));
    TRY_VOID(write_number(store, directory + "/num-ring-pages", pages));
  }
  // Several queues have directories of their own and nothing at the top.
  if (nodes.queues.size() == 1) return write_queue(store, directory, nodes.queues[0], pages == 1);
  TRY_VOID(write_number(store, directory + "/multi-queue-num-queues", nodes.queues.size()));
  for (size_t i = 0; i < nodes.queues.size(); i++)
    TRY_VOID(
        write_queue(store, directory + "/queue-" + std::to_string(i), nodes.queues[i], pages == 1));
  return {};
}

Result<FrontendNodes> read_frontend(StoreView& store, const std::string& directory,
                                    const BackendOffer& offer) {
  FrontendNodes nodes;
  nodes.protocol = TRY(read_optional(store, directory + "/protocol"));
  if (nodes.protocol && nodes.protocol->size() > kMaxProtocolBytes)
    return bad_node(directory + "/protocol", *nodes.protocol, "the name of an ABI");
  nodes.persistent_grants = TRY(read_flag(store, directory + "/feature-persistent"));
  const uint32_t pages = TRY(read_ring_pages(store, directory, offer));
  const auto queues =
      TRY(read_number(store, directory + "/multi-queue-num-queues", UINT32_MAX)).value_or(1);
  if (queues == 0 || queues > std::min(offer.max_queues, kMaxQueues))
    return bad_node(directory + "/multi-queue-num-queues", std::to_string(queues),
                    "1 to " + std::to_string(offer.max_queues));
  const bool has_queue_directories =
      queues > 1 || TRY(read_optional(store, directory + "/queue-0/event-channel")).has_value();
  std::set<GrantRef> used;
  for (uint64_t i = 0; i < queues; i++) {
    const std::string where =
        has_queue_directories ? directory + "/queue-" + std::to_string(i) : directory;
    // A frontend that writes an order of 0 still may use either name for its one page.
    const bool legacy_name =
        pages == 0 || (pages == 1 && !TRY(read_optional(store, where + "/ring-ref0")).has_value());
    nodes.queues.push_back(TRY(read_queue(store, where, std::max(pages, 1U), legacy_name, used)));
  }
  return nodes;
}

Result<> remove_frontend(StoreView& store, const std::string& directory) {
  for (const std::string& name : TRY(store.list(directory))) {
    const bool ours = name.starts_with("ring-ref") || name.starts_with("queue-") ||
                      name == "event-channel" || name == "ring-page-order" ||
                      name == "num-ring-pages" || name == "multi-queue-num-queues" ||
                      name == "feature-persistent";
    if (ours) TRY_VOID(remove_if_there(store, directory + "/" + name));
  }
  return {};
}

}  // namespace splitring
