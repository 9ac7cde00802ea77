#include "backend/handover.h"

#include <algorithm>

#include "backend/backend.h"

namespace splitring::backend {

Result<bool> is_meant_for_us(StoreView& store, const std::string& backend_directory) {
  const auto script = TRY(read_optional(store, backend_directory + "/script"));
  return !script || script->substr(script->rfind('/') + 1) == kHotplugScript;
}

BackendOffer widened(const BackendOffer& own, const BackendOffer& promised) {
  BackendOffer offer = own;
  offer.max_queues = std::max(own.max_queues, promised.max_queues);
  offer.max_ring_page_order = std::max(own.max_ring_page_order, promised.max_ring_page_order);
  offer.max_indirect_segments = std::max(own.max_indirect_segments, promised.max_indirect_segments);
  return offer;
}

Result<BackendOffer> answer_handover(StoreView& store, const std::string& backend_directory,
                                     const BackendOffer& own) {
  const std::string node = backend_directory + "/" + kHandoverNode;
  if (!TRY(read_optional(store, node))) return own;
  const BackendOffer promised = TRY(read_offer(store, backend_directory));
  if (promised.max_indirect_segments > kMaxIndirectSegmentsOffered)
    return fail(Errc::kUnsupported, "xen-blkback has promised requests of " +
                                        std::to_string(promised.max_indirect_segments) +
                                        " segments and we serve " +
                                        std::to_string(kMaxIndirectSegmentsOffered) +
                                        " (set its module's max_indirect_segments to that)");
  const BackendOffer offer = widened(own, promised);
  TRY_VOID(write_offer(store, backend_directory, offer));
  TRY_VOID(store.remove(node));
  return offer;
}

}  // namespace splitring::backend
