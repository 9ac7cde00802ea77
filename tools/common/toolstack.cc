#include "tools/common/toolstack.h"

#include <array>
#include <utility>

#include "base/parse.h"
#include "tools/common/state_wait.h"
#include "xenbus/nodes.h"

namespace splitring::tools {
namespace {

// What the node `script` names: nobody runs it for disks that are attached here, but toolstacks
// and driver domains expect one.
const std::string kScript = std::string("/etc/xen/scripts/") + kHotplugScript;

using Nodes = std::vector<std::pair<std::string, std::string>>;

Nodes backend_nodes(const DiskSpec& disk) {
  return {
      {"frontend", disk.path.frontend_directory()},
      {"params", disk.target},
      {"script", kScript},
      {"frontend-id", std::to_string(raw(disk.path.frontend))},
      {"online", "1"},
      {"removable", "0"},
      {"bootable", "1"},
      {"state", to_node(XenbusState::kInitialising)},
      {"dev", disk.vdev},
      {"type", "phy"},
      {"mode", disk.read_only ? "r" : "w"},
      {"device-type", "disk"},
      {"discard-enable", "1"},
      {"specification", "xen"},
  };
}

Nodes frontend_nodes(const DiskSpec& disk) {
  return {
      {"backend", disk.path.backend_directory()},
      {"backend-id", std::to_string(raw(disk.path.backend))},
      {"state", to_node(XenbusState::kInitialising)},
      {"virtual-device", std::to_string(disk.path.device)},
      {"device-type", "disk"},
      {"trusted", "1"},
  };
}

// The owner may do everything, the peer may read. Children inherit it.
Result<> make_directory(StoreView& store, const std::string& directory, DomId owner, DomId peer,
                        const Nodes& nodes) {
  using Rights = StorePermission::Rights;
  TRY_VOID(store.make_directory(directory));
  TRY_VOID(store.set_permissions(directory, {{owner, Rights::kNone}, {peer, Rights::kRead}}));
  for (const auto& [name, value] : nodes) TRY_VOID(store.write(directory + "/" + name, value));
  return {};
}

Result<bool> exists(StoreView& store, const std::string& path) {
  return TRY(read_optional(store, path)).has_value();
}

// An absent directory has nothing in it.
Result<std::vector<std::string>> list_or_nothing(StoreView& store, const std::string& path) {
  auto names = store.list(path);
  if (!names && names.error().code == Errc::kNotFound) return std::vector<std::string>();
  return names;
}

Result<> remove_if_there(StoreView& store, const std::string& path) {
  auto removed = store.remove(path);
  if (!removed && removed.error().code == Errc::kNotFound) return {};
  return removed;
}

// As libxl__xs_path_cleanup(): backend/vbd/F goes with its last device, backend/vbd with its last
// frontend. A domain's own directory is never empty.
Result<> remove_with_empty_parents(StoreView& store, const std::string& directory) {
  TRY_VOID(remove_if_there(store, directory));
  for (std::string parent = directory; parent.rfind('/') != 0;) {
    parent.resize(parent.rfind('/'));
    const auto children = store.list(parent);
    if (!children && children.error().code != Errc::kNotFound)
      return tl::unexpected(children.error());
    if (!children || !children->empty()) break;
    TRY_VOID(remove_if_there(store, parent));
  }
  return {};
}

// Where the kernel's xenbus drivers report: Linux's xenbus_client.c, error_path().
std::string error_directory(const DevicePath& path) {
  return "/local/domain/" + std::to_string(raw(path.backend)) + "/error/backend/" + path.kind +
         "/" + std::to_string(raw(path.frontend)) + "/" + std::to_string(path.device);
}

// Ours reports beside the device's state, a hotplug script in a node of its own.
Result<std::string> backend_error(StoreView& store, const DevicePath& path) {
  for (const std::string& node :
       {path.backend_directory() + "/" + kErrorNode, error_directory(path) + "/error",
        path.backend_directory() + "/hotplug-error"})
    if (auto text = TRY(read_optional(store, node)); text && !text->empty())
      return std::move(*text);
  return std::string();
}

std::string state_name(XenbusState state) {
  return state == XenbusState::kUnknown ? "gone" : to_string(state);
}

std::string name_of(const DevicePath& path) {
  return virtual_device_name(path.device) + " of domain " + std::to_string(raw(path.frontend));
}

bool is_listening(XenbusState state) {
  return state == XenbusState::kInitWait || state == XenbusState::kInitialised ||
         state == XenbusState::kConnected;
}

Result<ListedDisk> read_listed(StoreView& store, const DevicePath& path) {
  const std::string directory = path.backend_directory();
  const auto text = [&](const char* name) -> Result<std::string> {
    return TRY(read_optional(store, directory + name)).value_or("");
  };
  ListedDisk disk;
  disk.path = path;
  disk.vdev = TRY(text("/dev"));
  if (disk.vdev.empty()) disk.vdev = virtual_device_name(path.device);
  disk.target = TRY(text("/params"));
  disk.read_only = TRY(text("/mode")) == "r";
  disk.online = TRY(text("/online")) == "1";
  disk.backend_state = TRY(read_state(store, directory));
  disk.frontend_state = TRY(read_state(store, path.frontend_directory()));
  disk.error = TRY(backend_error(store, path));
  return disk;
}

// Other devices have directories of the same shape (vif, console): a disk's frontend says vbd.
Result<bool> is_disk(StoreView& store, const DevicePath& path) {
  return TRY(read_optional(store, path.backend_directory() + "/frontend")) ==
         path.frontend_directory();
}

// All device directories below one kind of one backend domain.
Result<std::vector<DevicePath>> paths_of_kind(StoreView& store, DomId backend,
                                              const std::string& kind) {
  std::vector<DevicePath> paths;
  const std::string directory =
      "/local/domain/" + std::to_string(raw(backend)) + "/backend/" + kind;
  for (const std::string& frontend : TRY(list_or_nothing(store, directory))) {
    const auto domain = parse_decimal(frontend, kFirstReservedDomId - 1);
    if (!domain) continue;
    for (const std::string& device : TRY(list_or_nothing(store, directory + "/" + frontend))) {
      const auto number = parse_decimal(device, UINT32_MAX);
      if (number)
        paths.push_back(
            {kind, backend, DomId{static_cast<uint16_t>(*domain)}, static_cast<uint32_t>(*number)});
    }
  }
  return paths;
}

// Domain 0 alone may see all domains; another one, a storage driver domain say, has its own disks.
Result<std::vector<std::string>> backend_domains(StoreView& store, DomId reader) {
  if (reader != DomId{0}) return std::vector{std::to_string(raw(reader))};
  return list_or_nothing(store, "/local/domain");
}

Result<std::vector<DevicePath>> all_disks(StoreView& store, DomId reader) {
  std::vector<DevicePath> disks;
  for (const std::string& name : TRY(backend_domains(store, reader))) {
    const auto domain = parse_decimal(name, kFirstReservedDomId - 1);
    if (!domain) continue;
    const DomId backend{static_cast<uint16_t>(*domain)};
    for (const std::string& kind :
         TRY(list_or_nothing(store, "/local/domain/" + name + "/backend")))
      for (const DevicePath& path : TRY(paths_of_kind(store, backend, kind)))
        if (TRY(is_disk(store, path))) disks.push_back(path);
  }
  return disks;
}

}  // namespace

Result<> write_disk_nodes(Store& store, const DiskSpec& disk) {
  for (const DomId domain : {disk.path.frontend, disk.path.backend})
    if (!TRY(store.is_introduced(domain)))
      return fail(Errc::kNotFound, "there is no domain " + std::to_string(raw(domain)) +
                                       " (on an emulated host: splitring domain create " +
                                       std::to_string(raw(domain)) + ")");
  return store.transact([&](StoreView& view) -> Result<> {
    if (TRY(exists(view, disk.path.backend_directory() + "/state")) ||
        TRY(exists(view, disk.path.frontend_directory() + "/state")))
      return fail(Errc::kExists, name_of(disk.path) + " is attached already (detach it first)");
    // What an earlier device left must not be read as this one's.
    for (const std::string& stale : {error_directory(disk.path), disk.path.frontend_directory(),
                                     disk.path.backend_directory()})
      TRY_VOID(remove_if_there(view, stale));
    TRY_VOID(make_directory(view, disk.path.frontend_directory(), disk.path.frontend,
                            disk.path.backend, frontend_nodes(disk)));
    return make_directory(view, disk.path.backend_directory(), disk.path.backend,
                          disk.path.frontend, backend_nodes(disk));
  });
}

Result<> wait_for_backend(Store& store, const DevicePath& path, std::chrono::milliseconds timeout) {
  StoreView& view = store.now();
  const std::string directory = path.backend_directory();
  const auto look = [&]() -> Result<bool> {
    const XenbusState state = TRY(read_state(view, directory));
    const std::string error = TRY(backend_error(view, path));
    if (!error.empty()) return fail(Errc::kIo, "the backend says: " + error);
    if (is_listening(state)) return true;
    if (state == XenbusState::kInitialising) return false;
    return fail(Errc::kIo, "the backend went to state " + state_name(state));
  };
  auto waited = wait_for(store, directory, timeout, look);
  if (waited || waited.error().code != Errc::kTimeout) return waited;
  return fail(Errc::kTimeout, "no backend of domain " + std::to_string(raw(path.backend)) +
                                  " took the disk within " +
                                  std::to_string(timeout.count() / 1000) +
                                  " s (is splitringd running there?)");
}

Result<> finish_hotplug(Store& store, const DevicePath& path) {
  return store.now().write(path.backend_directory() + "/hotplug-status", "connected");
}

Result<> ask_to_close(Store& store, const DevicePath& path) {
  return store.transact([&](StoreView& view) -> Result<> {
    const std::string directory = path.backend_directory();
    if (!TRY(exists(view, directory + "/state")))
      return fail(Errc::kNotFound, name_of(path) + " is not attached");
    TRY_VOID(view.write(directory + "/online", "0"));
    if (TRY(read_state(view, directory)) == XenbusState::kClosed) return {};
    return write_state(view, directory, XenbusState::kClosing);
  });
}

Result<> wait_until_closed(Store& store, const DevicePath& path,
                           std::chrono::milliseconds timeout) {
  StoreView& view = store.now();
  const auto look = [&]() -> Result<bool> {
    const XenbusState state = TRY(read_state(view, path.backend_directory()));
    return state == XenbusState::kClosed || state == XenbusState::kUnknown;
  };
  auto waited = wait_for(store, path.backend_directory(), timeout, look);
  if (waited || waited.error().code != Errc::kTimeout) return waited;
  const auto backend = TRY(read_state(view, path.backend_directory()));
  const auto frontend = TRY(read_state(view, path.frontend_directory()));
  return fail(Errc::kTimeout, name_of(path) + " did not close within " +
                                  std::to_string(timeout.count() / 1000) + " s: backend " +
                                  state_name(backend) + ", frontend " + state_name(frontend) +
                                  " (the guest still uses it, or its backend is dead; --force "
                                  "takes it away all the same)");
}

Result<> remove_disk_nodes(Store& store, const DevicePath& path) {
  return store.transact([&](StoreView& view) -> Result<> {
    TRY_VOID(remove_if_there(view, error_directory(path)));
    TRY_VOID(remove_with_empty_parents(view, path.frontend_directory()));
    return remove_with_empty_parents(view, path.backend_directory());
  });
}

Result<std::vector<ListedDisk>> list_disks(StoreView& store, DomId reader) {
  std::vector<ListedDisk> disks;
  for (const DevicePath& path : TRY(all_disks(store, reader)))
    disks.push_back(TRY(read_listed(store, path)));
  return disks;
}

Result<DevicePath> find_disk(StoreView& store, DomId frontend, uint32_t device) {
  for (const DevicePath& path : TRY(all_disks(store, DomId{0})))
    if (path.frontend == frontend && path.device == device) return path;
  return fail(Errc::kNotFound, virtual_device_name(device) + " of domain " +
                                   std::to_string(raw(frontend)) +
                                   " is not attached (splitring list shows what is)");
}

}  // namespace splitring::tools
