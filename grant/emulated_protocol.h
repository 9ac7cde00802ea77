// What travels on the emulated hypervisor's socket. docs/emulated-host.md tells the whole story.
//
// AF_UNIX, SOCK_SEQPACKET: one message is one frame, so a frame has exactly the size that its type
// (and its count) demands. A client sends one request and waits for its reply. Descriptors travel
// beside a frame by SCM_RIGHTS. Integers are little-endian, structs have no padding.
//
// A reply begins with a ReplyHeader. If its status is not kStatusOk, text for a person follows and
// nothing else.
#pragma once

#include <cstddef>
#include <cstdint>

#include "base/endian.h"
#include "base/units.h"

namespace splitring::wire {

inline constexpr uint32_t kMagic = 0x48525053;  // "SPRH"
inline constexpr uint32_t kVersion = 1;

// linux/net/scm.h: SCM_MAX_FD is 253. Each reference of a map may lie behind its own descriptor.
inline constexpr size_t kMaxRefsPerMessage = 248;
inline constexpr size_t kMaxDescriptors = kMaxRefsPerMessage;
inline constexpr size_t kMaxPagesPerShare = 1024;
inline constexpr size_t kMaxDomains = 1024;
inline constexpr size_t kMaxErrorText = 200;

inline constexpr uint32_t kStatusOk = 0;  // else 1 + the value of an Errc

enum class Type : uint32_t {
  kHello = 1,
  kShare = 2,
  kEndShare = 3,
  kQuarantined = 4,
  kMap = 5,
  kUnmap = 6,
  kResolve = 7,
  kOffer = 8,
  kBind = 9,
  kClosePort = 10,
  // Domain 0 only.
  kListDomains = 16,
  kCreateDomain = 17,
  kDestroyDomain = 18,
  kCounts = 19,
};

enum class WireAccess : uint32_t { kReadOnly = 0, kReadWrite = 1 };

struct ReplyHeader {
  le32 status;
};

// The first request of every connection.
struct HelloRequest {
  le32 type;
  le32 magic;
  le32 version;
};
struct HelloReply {
  ReplyHeader header;
  le32 version;
  le32 domain;  // for which this socket speaks
};

// With one descriptor: a memfd of pages * kPageSize bytes, sealed against any change of its size.
struct ShareRequest {
  le32 type;
  le32 peer;
  le32 access;
  le32 pages;  // 1..kMaxPagesPerShare
};
struct ShareReply {  // then: le32 ref[pages]
  ReplyHeader header;
  le32 reserved;
  le64 share;
};

struct EndShareRequest {
  le32 type;
  le32 reserved;
  le64 share;
};

struct QuarantinedRequest {
  le32 type;
};
struct QuarantinedReply {
  ReplyHeader header;
  le32 pages;
};

struct MapRequest {  // then: le32 ref[count]
  le32 type;
  le32 granter;
  le32 access;
  le32 count;  // 1..kMaxRefsPerMessage
  le64 token;  // the client's name for this batch
};
struct MapReply {  // then: MappedPage[count]; with `descriptors` descriptors
  ReplyHeader header;
  le32 descriptors;
};
struct MappedPage {
  le32 descriptor;  // which of those that came along; kRefused in a kResolve reply only
  le32 page;        // at page * kPageSize in it
};
inline constexpr uint32_t kRefused = 0xffffffff;

struct UnmapRequest {
  le32 type;
  le32 reserved;
  le64 token;
};

struct ResolveRequest {  // then: ResolveItem[count]; the reply is a MapReply
  le32 type;
  le32 granter;
  le32 count;  // 1..kMaxRefsPerMessage
};
struct ResolveItem {
  le32 ref;
  le32 access;
};

struct OfferRequest {
  le32 type;
  le32 peer;
};
struct BindRequest {
  le32 type;
  le32 peer;
  le32 remote_port;
};
struct PortReply {  // with two eventfds: the one to wait on, the one to ring
  ReplyHeader header;
  le32 port;
};
struct ClosePortRequest {
  le32 type;
  le32 port;
};

struct ListDomainsRequest {
  le32 type;
};
struct ListDomainsReply {  // then: le32 domain[count]
  ReplyHeader header;
  le32 count;
};
struct DomainRequest {  // kCreateDomain, kDestroyDomain, kCounts
  le32 type;
  le32 domain;
};
struct CountsReply {
  ReplyHeader header;
  le32 handles;
  le32 grants;
  le32 quarantined;
  le32 pins;
  le32 ports;
};

inline constexpr size_t kMaxRequest =
    sizeof(ResolveRequest) + kMaxRefsPerMessage * sizeof(ResolveItem);
inline constexpr size_t kMaxReply = sizeof(ShareReply) + kMaxPagesPerShare * sizeof(le32);

static_assert(sizeof(ShareReply) == 16 && sizeof(MapRequest) == 24 && sizeof(MappedPage) == 8);
static_assert(sizeof(CountsReply) == 24 && alignof(CountsReply) == 1);
static_assert(sizeof(ListDomainsReply) + kMaxDomains * sizeof(le32) <= kMaxReply);
static_assert(sizeof(MapReply) + kMaxRefsPerMessage * sizeof(MappedPage) <= kMaxReply);
static_assert(sizeof(MapRequest) + kMaxRefsPerMessage * sizeof(le32) <= kMaxRequest);
static_assert(sizeof(ReplyHeader) + kMaxErrorText <= kMaxReply);

}  // namespace splitring::wire
