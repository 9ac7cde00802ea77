// One client: requests in, answers out, one after the other as long as both sides like.
//
// A response is a head and a body written together; a file's bytes go to the socket from the memory
// that the disk filled, in chunks, so a connection holds one chunk at most and an idle one none.
// A client that sends or takes too slowly is closed; one that breaks the framing gets 400 and is
// closed.
//
// The HTTP library stays behind this header. One owner thread, the loop's.
#pragma once

#include <boost/asio/basic_stream_socket.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <chrono>
#include <functional>
#include <memory>
#include <unordered_set>

#include "tools/kiosk/kiosk_metrics.h"
#include "tools/kiosk/lane_reader.h"
#include "tools/kiosk/site.h"

namespace splitring::kiosk {

using Socket = boost::asio::basic_stream_socket<boost::asio::ip::tcp, LoopExecutor>;

// Longest request line and headers together.
inline constexpr size_t kMaxHeadBytes = size_t{16} << 10;

class Connection {
 public:
  virtual ~Connection() = default;
  // Ends it after the answer at hand; at once if there is none, or if `now`.
  virtual void stop(bool now) = 0;
};

// What the connections of one thread share. Outlives them.
struct ConnectionContext {
  const Site& site;
  LaneReader& reader;
  WorkerMetrics& metrics;
  std::chrono::seconds timeout;  // for a whole head, and for each write
  std::function<void()> closed;  // one of `open` has gone
  std::unordered_set<Connection*> open;
  bool stopping = false;
};

// It keeps itself alive until it ends.
void start_connection(Socket socket, ConnectionContext& context);

}  // namespace splitring::kiosk
