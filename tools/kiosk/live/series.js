// From the counters that samples carry to what happened between two of them.

export const kWindowMs = 60000;

const sum = (list) => list.reduce((total, value) => total + value, 0);
const less = (after, before) => after.map((value, i) => value - (before[i] ?? 0));

// The value that `fraction` of the counts lie below, in the unit of `ends` (the upper end of each
// bucket; the last may be Infinity). Within a bucket counts are taken to be spread evenly.
export const quantile = (counts, ends, fraction) => {
  const total = sum(counts);
  if (total <= 0) return null;
  let wanted = total * fraction;
  for (let i = 0; i < counts.length; i++) {
    if (wanted <= counts[i] && counts[i] > 0) {
      const from = i === 0 ? 0 : ends[i - 1];
      if (!Number.isFinite(ends[i])) return from;
      return from + (ends[i] - from) * (wanted / counts[i]);
    }
    wanted -= counts[i];
  }
  return ends.filter(Number.isFinite).at(-1);
};

const kNanoEnds = Array.from({length: 40}, (_, i) => (i === 39 ? Infinity : 2 ** i / 1000));
const kMicroEnds = Array.from({length: 24}, (_, i) => (i === 23 ? Infinity : 2 ** i));

// A counter that went back was set to nothing: its process began anew.
const grew = (after, before) => Math.max(0, after - before);

export const serviceBetween = (before, after, bounds) => {
  const seconds = (after.t - before.t) / 1000;
  const latency = less(after.http.latency, before.http.latency);
  const ends = [...bounds, Infinity];
  return {
    t: after.t,
    requests: grew(after.http.requests, before.http.requests) / seconds,
    bytes: grew(after.http.bytes, before.http.bytes) / seconds,
    p50: quantile(latency, ends, 0.5),
    p99: quantile(latency, ends, 0.99),
    open: after.http.open,
  };
};

const diskWork = (before, after, seconds) => {
  const latency = less(after.latency, before.latency);
  return {
    reads: grew(after.reads, before.reads) / seconds,
    writes: grew(after.writes, before.writes) / seconds,
    readBytes: grew(after.read_bytes, before.read_bytes) / seconds,
    writeBytes: grew(after.write_bytes, before.write_bytes) / seconds,
    // The time that all requests took together, by the time that passed: how many there were at
    // once, on average.
    depth: grew(after.busy_ns, before.busy_ns) / 1e9 / seconds,
    p50: quantile(latency, kNanoEnds, 0.5),
    p99: quantile(latency, kNanoEnds, 0.99),
  };
};

const backendWork = (before, after, seconds) => {
  const latency = less(after.latency, before.latency);
  return {
    requests: grew(after.requests, before.requests) / seconds,
    bytes: grew(after.bytes, before.bytes) / seconds,
    p50: quantile(latency, kMicroEnds, 0.5),
    p99: quantile(latency, kMicroEnds, 0.99),
  };
};

// What a disk did between two samples. Null where there is nothing to compare.
export const diskBetween = (before, after, seconds) => {
  const work = before?.stats && after.stats ? diskWork(before.stats, after.stats, seconds) : null;
  const ring = before?.ring && after.ring ? {
    requests: grew(after.ring.requests, before.ring.requests) / seconds,
    bells: grew(after.ring.notifications, before.ring.notifications) / seconds,
  } : null;
  const backend = before?.backend && after.backend
    ? backendWork(before.backend, after.backend, seconds) : null;
  return {work, ring, backend};
};
