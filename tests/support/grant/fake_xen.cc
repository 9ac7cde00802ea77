#include "tests/support/grant/fake_xen.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>

extern "C" {
#include <xenevtchn.h>
#include <xengnttab.h>
}

namespace splitring::testing {

FakeXen& fake_xen() {
  static FakeXen fake;
  return fake;
}

void raise_fake_event(uint32_t port) {
  if (::write(fake_xen().event_pipe[1], &port, sizeof port) != sizeof port) std::abort();
}

}  // namespace splitring::testing

using splitring::testing::fake_xen;

struct xengntdev_handle {
  int fd;
};
struct xenevtchn_handle {
  int fd;
};

namespace {

constexpr size_t kPage = 4096;

void note(std::string call) { fake_xen().calls.push_back(std::move(call)); }

void* pages(uint32_t count) {
  void* at =
      ::mmap(nullptr, count * kPage, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  return at == MAP_FAILED ? nullptr : at;
}

template <class Handle>
Handle* open_fake(int fd) {
  if (fake_xen().open_errno == 0) return new Handle{fd};
  errno = fake_xen().open_errno;
  return nullptr;
}

}  // namespace

extern "C" {

xengnttab_handle* xengnttab_open(xentoollog_logger*, unsigned) {
  return open_fake<xengntdev_handle>(-1);
}

int xengnttab_close(xengnttab_handle* handle) {
  note("close gnttab");
  delete handle;
  return 0;
}

void* xengnttab_map_domain_grant_refs(xengnttab_handle*, uint32_t count, uint32_t domain,
                                      uint32_t* refs, int protection) {
  std::string call = "map " + std::to_string(domain) + " ";
  for (uint32_t i = 0; i < count; i++) call += (i > 0 ? "," : "") + std::to_string(refs[i]);
  note(call + ((protection & PROT_WRITE) != 0 ? " rw" : " r"));
  errno = fake_xen().map_errno;
  return errno == 0 ? pages(count) : nullptr;
}

int xengnttab_unmap(xengnttab_handle*, void* start, uint32_t count) {
  note("unmap " + std::to_string(count));
  return ::munmap(start, count * kPage);
}

int xengnttab_grant_copy(xengnttab_handle*, uint32_t count,
                         xengnttab_grant_copy_segment_t* segments) {
  auto& fake = fake_xen();
  fake.copy_counts.push_back(count);
  if (fake.copy_errno != 0 && fake.copy_calls_that_work-- <= 0) {
    errno = fake.copy_errno;
    return -1;
  }
  for (uint32_t i = 0; i < count; i++) {
    const auto& segment = segments[i];
    const bool from = segment.flags == GNTCOPY_source_gref;
    const auto& foreign = (from ? segment.source : segment.dest).foreign;
    note((from ? "from " : "to ") + std::to_string(foreign.domid) + ":" +
         std::to_string(foreign.ref) + "+" + std::to_string(foreign.offset) + " " +
         std::to_string(segment.len));
    segments[i].status = fake.copy_always;
    if (fake.copy_statuses.empty()) continue;
    segments[i].status = fake.copy_statuses.front();
    fake.copy_statuses.pop_front();
  }
  return 0;
}

xengntshr_handle* xengntshr_open(xentoollog_logger*, unsigned) {
  return open_fake<xengntdev_handle>(::open("/dev/null", O_RDWR));
}

int xengntshr_close(xengntshr_handle* handle) {
  fake_xen().share_fd_flags = ::fcntl(handle->fd, F_GETFD);
  ::close(handle->fd);
  delete handle;
  return 0;
}

int xengntshr_fd(xengntshr_handle* handle) { return handle->fd; }

void* xengntshr_share_pages(xengntshr_handle*, uint32_t domain, int count, uint32_t* refs,
                            int writable) {
  note("share " + std::to_string(domain) + " " + std::to_string(count) +
       (writable != 0 ? " rw" : " r"));
  errno = fake_xen().share_errno;
  if (errno != 0) return nullptr;
  for (int i = 0; i < count; i++) refs[i] = static_cast<uint32_t>(100 + i);
  return pages(static_cast<uint32_t>(count));
}

int xengntshr_unshare(xengntshr_handle*, void* start, uint32_t count) {
  note("unshare " + std::to_string(count));
  return ::munmap(start, count * kPage);
}

xenevtchn_handle* xenevtchn_open(xentoollog_logger*, unsigned) {
  auto* handle = open_fake<xenevtchn_handle>(-1);
  if (handle == nullptr) return nullptr;
  if (::pipe(fake_xen().event_pipe) != 0) std::abort();
  handle->fd = fake_xen().event_pipe[0];
  return handle;
}

int xenevtchn_close(xenevtchn_handle* handle) {
  note("close evtchn");
  ::close(handle->fd);
  ::close(fake_xen().event_pipe[1]);
  delete handle;
  return 0;
}

int xenevtchn_fd(xenevtchn_handle* handle) { return handle->fd; }

int xenevtchn_notify(xenevtchn_handle*, evtchn_port_t port) {
  note("notify " + std::to_string(port));
  return 0;
}

xenevtchn_port_or_error_t xenevtchn_bind_unbound_port(xenevtchn_handle*, uint32_t domain) {
  note("offer " + std::to_string(domain));
  return 5;
}

xenevtchn_port_or_error_t xenevtchn_bind_interdomain(xenevtchn_handle*, uint32_t domain,
                                                     evtchn_port_t port) {
  note("bind " + std::to_string(domain) + ":" + std::to_string(port));
  if (port != 99) return 6;
  errno = EINVAL;
  return -1;
}

xenevtchn_port_or_error_t xenevtchn_pending(xenevtchn_handle* handle) {
  uint32_t port = 0;
  if (::read(handle->fd, &port, sizeof port) != sizeof port) return -1;
  note("pending " + std::to_string(port));
  return static_cast<int>(port);
}

int xenevtchn_unmask(xenevtchn_handle*, evtchn_port_t port) {
  note("unmask " + std::to_string(port));
  return 0;
}

}  // extern "C"
