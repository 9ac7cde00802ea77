// The names of things that a Xen host numbers. Each is a type of its own, so that a port cannot be
// passed where a grant reference is meant.
#pragma once

#include <cstdint>

namespace splitring {

enum class DomId : uint16_t {};     // xen.h: domid_t; usable ones are below 0x7ff0
enum class GrantRef : uint32_t {};  // grant_table.h: grant_ref_t, an index in the granter's table
enum class Port : uint32_t {};      // event_channel.h: evtchn_port_t

inline constexpr uint16_t kFirstReservedDomId = 0x7ff0;  // xen.h: DOMID_FIRST_RESERVED

constexpr uint16_t raw(DomId id) { return static_cast<uint16_t>(id); }
constexpr uint32_t raw(GrantRef ref) { return static_cast<uint32_t>(ref); }
constexpr uint32_t raw(Port port) { return static_cast<uint32_t>(port); }

enum class Access : uint8_t { kReadOnly, kReadWrite };

}  // namespace splitring
