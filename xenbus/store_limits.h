// What one unprivileged domain may take of the store server. The defaults are xenstored's (4.17:
// --quota-nb-entry, -watch, -transaction, -perms-per-node, --entry-size, --transaction-nodes)
// where it has such a limit. Domain 0 is trusted with the store and has the wider bounds below.
#pragma once

#include <cstddef>

namespace splitring {

struct StoreLimits {
  size_t nodes = 1000;              // owned by the domain
  size_t watches = 128;             // of all its connections together
  size_t transactions = 10;         // open at a time, of all its connections together
  size_t permissions = 5;           // entries of one node's list
  size_t node_bytes = 2048;         // value and permissions of one node
  size_t transaction_nodes = 1024;  // nodes one transaction may read or write
  size_t connections = 256;         // open at a time

  // Bounds that hold for every connection, domain 0's too.
  size_t pending_event_bytes = size_t{1} << 20;  // events not yet read; then they are collapsed
  size_t output_bytes = size_t{64} << 10;        // answers not yet read; then requests wait

  // Domain 0.
  size_t privileged_watches = 16384;
  size_t privileged_transactions = 1000;
  size_t privileged_transaction_nodes = size_t{1} << 15;
  size_t privileged_connections = 4096;
};

}  // namespace splitring
