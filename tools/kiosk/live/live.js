// Receives samples over a WebSocket and keeps the page up to date. All text that comes in is shown
// as text, never as markup.
import * as format from "./format.js";
import {Chart} from "./chart.js";
import {Disk} from "./disk.js";
import {serviceBetween} from "./series.js";

const link = document.getElementById("link");
const linkText = document.getElementById("link-text");
const pause = document.getElementById("pause");
const announcer = document.getElementById("announcer");
const disksHolder = document.getElementById("disks");
const serviceHolder = document.getElementById("service-charts");
const totals = document.getElementById("totals");

const service = [
  new Chart(serviceHolder, "Requests", [{key: "requests", name: ""}], format.rate),
  new Chart(serviceHolder, "Throughput", [{key: "bytes", name: "sent"}], format.byteRate),
  new Chart(serviceHolder, "Latency", [{key: "p50", name: "median"}, {key: "p99", name: "p99"}], format.micros),
];
const disks = new Map();
let bounds = [];
let last = null;
let latest = null;
let isPaused = false;
let retryMs = 500;

const announce = (text) => { announcer.textContent = text; };

const setLink = (state, text) => {
  link.dataset.state = state;
  linkText.textContent = text;
};

const showTotals = (between, sample) => {
  const entries = [["requests a second", format.rate(between.requests)], ["sent", format.byteRate(between.bytes)],
                   ["p99 latency", between.p99 === null ? ["–", ""] : format.micros(between.p99)],
                   ["connections", format.count(sample.http.open)]];
  totals.replaceChildren(...entries.map(([name, [number, unit]]) => {
    const item = document.createElement("div");
    const term = document.createElement("dt");
    const value = document.createElement("dd");
    const small = document.createElement("small");
    term.textContent = name;
    small.textContent = unit;
    value.append(number, small);
    item.append(term, value);
    return item;
  }));
};

const take = (sample) => {
  const before = last;
  last = sample;
  if (before && before.t < sample.t) {
    const between = serviceBetween(before, sample, bounds);
    for (const chart of service) chart.add(between);
    latest = {between, sample};
  }
  sample.disks.forEach((disk, index) => {
    if (!disks.has(disk.name)) disks.set(disk.name, new Disk(disksHolder, {...disk, index}, announce));
    const seconds = before ? (sample.t - before.t) / 1000 : 1;
    disks.get(disk.name).add(before?.disks.find((d) => d.name === disk.name), disk, sample.t, seconds);
  });
  document.getElementById("no-disks").hidden = sample.disks.length !== 0;
};

const draw = () => {
  if (isPaused) return;
  if (latest) showTotals(latest.between, latest.sample);
  for (const chart of service) chart.draw();
  for (const disk of disks.values()) disk.draw();
};

const reset = (hello) => {
  bounds = hello.http_bounds_us;
  last = null;
  for (const chart of service) chart.clear();
  for (const disk of disks.values()) disk.charts.forEach((chart) => chart.clear());
  hello.samples.forEach(take);
};

const connect = () => {
  const socket = new WebSocket(`${location.protocol === "https:" ? "wss" : "ws"}://${location.host}/_live/socket`);
  socket.addEventListener("open", () => {
    retryMs = 500;
    if (!isPaused) setLink("live", "Live");
  });
  socket.addEventListener("message", (event) => {
    const message = JSON.parse(event.data);
    if (message.type === "hello") reset(message);
    else if (message.type === "sample") take(message);
    draw();
  });
  socket.addEventListener("close", () => {
    setLink("lost", "Connection lost, trying again");
    setTimeout(connect, retryMs);
    retryMs = Math.min(retryMs * 2, 8000);
  });
};

const togglePause = () => {
  isPaused = !isPaused;
  pause.setAttribute("aria-pressed", String(isPaused));
  pause.textContent = isPaused ? "Resume" : "Pause";
  if (link.dataset.state !== "lost") setLink(isPaused ? "paused" : "live", isPaused ? "Paused" : "Live");
  draw();
};
pause.addEventListener("click", togglePause);
document.addEventListener("keydown", (event) => {
  const isTyping = event.ctrlKey || event.altKey || event.metaKey;
  if (event.key === "p" && !isTyping) togglePause();
});
new ResizeObserver(draw).observe(document.body);
window.matchMedia("(prefers-color-scheme: dark)").addEventListener("change", draw);

const animate = (now) => {
  if (!isPaused) for (const disk of disks.values()) disk.path.animate(now);
  requestAnimationFrame(animate);
};
requestAnimationFrame(animate);
connect();
