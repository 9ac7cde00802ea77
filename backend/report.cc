#include "backend/report.h"

#include "backend/ring_counters.h"

namespace splitring::backend {
namespace {

template <size_t N>
void read_into(std::array<uint64_t, N>& to, const std::array<Counter, N>& from) {
  for (size_t i = 0; i < N; i++) to[i] = from[i].value();
}

template <size_t N>
void add_into(std::array<uint64_t, N>& to, const std::array<uint64_t, N>& from) {
  for (size_t i = 0; i < N; i++) to[i] += from[i];
}

}  // namespace

const char* to_string(Work work) {
  switch (work) {
    case Work::kRead: return "read";
    case Work::kWrite: return "write";
    case Work::kFlush: return "flush";
    case Work::kDiscard: return "discard";
  }
  return "";
}

void CounterValues::add(const CounterValues& other) {
  add_into(requests, other.requests);
  add_into(sectors, other.sectors);
  add_into(io_errors, other.io_errors);
  add_into(refusals, other.refusals);
  grant_errors += other.grant_errors;
  broken_rings += other.broken_rings;
  wakeups += other.wakeups;
  spurious_wakeups += other.spurious_wakeups;
  notifications += other.notifications;
  persistent_hits += other.persistent_hits;
  persistent_misses += other.persistent_misses;
  persistent_evictions += other.persistent_evictions;
  copied_pages += other.copied_pages;
  mapped_pages += other.mapped_pages;
  add_into(latency, other.latency);
  latency_sum_us += other.latency_sum_us;
}

CounterValues RingCounters::values() const {
  CounterValues out;
  read_into(out.requests, requests);
  read_into(out.sectors, sectors);
  read_into(out.io_errors, io_errors);
  read_into(out.refusals, refusals);
  out.grant_errors = grant_errors.value();
  out.broken_rings = broken_rings.value();
  out.wakeups = wakeups.value();
  out.spurious_wakeups = spurious_wakeups.value();
  out.notifications = notifications.value();
  out.persistent_hits = persistent_hits.value();
  out.persistent_misses = persistent_misses.value();
  out.persistent_evictions = persistent_evictions.value();
  out.copied_pages = copied_pages.value();
  out.mapped_pages = mapped_pages.value();
  read_into(out.latency, latency);
  out.latency_sum_us = latency_sum_us.value();
  return out;
}

}  // namespace splitring::backend
