// The rules of the emulated host: which domain may reach which page and which port. No sockets, no
// descriptors, no clock; emulated_server.h puts processes in front of it.
//
// What it keeps of Xen's rules (common/grant_table.c and common/event_channel.c of Xen 4.17):
//  1. A page can be reached only by the domain it was granted to, and written only if granted so.
//  2. Every map is counted on its grant (a pin) and is taken back exactly once: by unmap, by the
//     mapper's handle closing, or by its domain's death. A failed map leaves no pin.
//  3. A grant that is ended while pinned is in quarantine: it cannot be mapped again, the mapper
//     keeps its page, and the reference is not given out again before the last pin has gone.
//  4. An offered port can be bound by one domain only, and by one binder at a time. When either end
//     closes, the other becomes unbound with the same remote domain and can be bound again.
// Where it is stricter: a domain that is created under the id of a dead one gets nothing of it, be
// it grants made to the old one or ports offered to it (B33). Xen leaves that to fresh ids.
//
// A Handle is what an open /dev/xen/gntdev, gntalloc or evtchn file is: all that was made through
// it ends when it closes. Handles, shares and ports that a caller names are checked; a HandleId
// comes from open_handle() and stays valid until close_handle() or its domain's destruction.
//
// One thread. Errors are for the domain that asked; none of them changes anything.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <span>
#include <unordered_map>
#include <vector>

#include "base/result.h"
#include "grant/types.h"

namespace splitring {

// What the rules hand around without looking inside. The owner of the rules derives from them; the
// last holder destroys them.
class PageSource {  // the memory behind one share
 public:
  virtual ~PageSource() = default;
};
class EventWire {  // the pair of doorbells between two ports
 public:
  virtual ~EventWire() = default;
};

enum class HandleId : uint64_t {};
enum class ShareId : uint64_t {};

struct HypervisorLimits {
  uint32_t domains = 1024;
  uint32_t handles_per_domain = 1024;
  uint32_t grants_per_domain = 1024;  // what a Linux guest's gntalloc allows by default
  uint32_t pins_per_domain = 65536;   // held as a mapper
  uint32_t ports_per_domain = 1024;
};

// One granted page, as a mapper sees it.
struct GrantedPage {
  std::shared_ptr<PageSource> source;
  uint32_t index = 0;  // of the page in its source
};

// One end of a wire.
struct BoundPort {
  Port port;
  std::shared_ptr<EventWire> wire;
  uint32_t side = 0;  // this end's incoming doorbell; the other end's is 1 - side
};

struct DomainCounts {
  uint32_t handles = 0;
  uint32_t grants = 0;       // that can be mapped
  uint32_t quarantined = 0;  // ended and still mapped by someone
  uint32_t pins = 0;         // pages this domain has mapped
  uint32_t ports = 0;
  bool operator==(const DomainCounts&) const = default;
};

class EmulatedHypervisor {
 public:
  explicit EmulatedHypervisor(const HypervisorLimits& limits = {});
  ~EmulatedHypervisor();
  EmulatedHypervisor(const EmulatedHypervisor&) = delete;
  EmulatedHypervisor& operator=(const EmulatedHypervisor&) = delete;

  Result<> create_domain(DomId id);
  // Closes the domain's handles first. Pages that others have mapped stay theirs until unmapped.
  Result<> destroy_domain(DomId id);
  [[nodiscard]] bool exists(DomId id) const { return domains_.contains(id); }
  [[nodiscard]] std::vector<DomId> domains() const;
  Result<DomainCounts> counts(DomId id) const;

  Result<HandleId> open_handle(DomId id);
  // Ends all that was made through it. Does nothing for a handle that has gone.
  void close_handle(HandleId handle);

  // Grants refs.size() pages of `source`, in order, to `peer`; refs gets their references.
  Result<ShareId> share(HandleId handle, DomId peer, Access peer_access,
                        const std::shared_ptr<PageSource>& source, std::span<GrantRef> refs);
  Result<> end_share(HandleId handle, ShareId share);
  // Pages whose grants this handle has ended and that are still mapped.
  [[nodiscard]] uint32_t quarantined(HandleId handle) const;

  // Looks a grant up as map() does, without pinning it.
  Result<GrantedPage> resolve(HandleId handle, DomId granter, GrantRef ref, Access access) const;
  // All or nothing. `token` names the batch for unmap(), unique within the handle.
  // Precondition: pages.size() == refs.size().
  Result<> map(HandleId handle, uint64_t token, DomId granter, std::span<const GrantRef> refs,
               Access access, std::span<GrantedPage> pages);
  Result<> unmap(HandleId handle, uint64_t token);

  // A new port that `peer` may bind. Its wire is kept for as long as one of its ends lives.
  Result<BoundPort> offer(HandleId handle, DomId peer, std::shared_ptr<EventWire> wire);
  Result<BoundPort> bind(HandleId handle, DomId peer, Port remote);
  Result<> close_port(HandleId handle, Port port);

 private:
  struct Domain;
  struct Grant;
  struct Channel;
  struct Handle;

  Result<std::shared_ptr<Domain>> find_domain(DomId id) const;
  Result<Handle*> find_handle(HandleId handle) const;
  Result<> check_share(const Domain& domain, size_t pages) const;
  void release_contents(Handle& handle);

  HypervisorLimits limits_;
  std::map<DomId, std::shared_ptr<Domain>> domains_;
  std::unordered_map<HandleId, std::unique_ptr<Handle>> handles_;
  uint64_t next_handle_ = 1;
  uint64_t next_share_ = 1;
};

}  // namespace splitring
