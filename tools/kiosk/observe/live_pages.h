// What the kiosk shows of itself: /_live with its assets and its WebSocket, and JSON under /api/.
//
//   /_live              the page; its assets, which were compiled into the program, below
//   /_live/socket       WebSocket: a "hello" with the last minute, then a "sample" every half
//   second /api/devices        what is configured and what is there /api/statistics     the latest
//   sample /api/store/KEY      what the content's store knows of a key: its kind, size, children
//
// Nothing here changes anything. All text from outside (names of disks, keys) is JSON's to escape,
// and the page's script shows it as text (H6). The page may load from its own origin only.
#pragma once

#include <memory>

#include "kv/read_store.h"
#include "tools/kiosk/http/source.h"
#include "tools/kiosk/observe/live_feed.h"

namespace splitring::kiosk {

struct LiveSources {
  LiveFeed& feed;
  const tools::NamedDevices& devices;
  // The content's store of this moment, to look up names in, for the thread that asks. Null: none.
  std::function<std::unique_ptr<kv::ReadStore>()> store;
};

// What `sources` refers to outlives `pages`.
void add_live_pages(http::Pages& pages, const LiveSources& sources);

}  // namespace splitring::kiosk
