// The way of a request through a disk: guest, ring, backend, image, each with its figure. What this
// side cannot know is shown as unknown.
import * as format from "./format.js";

const kSvg = "http://www.w3.org/2000/svg";
const kSegments = 32;  // drawn of a ring, however many slots it has
const template = document.getElementById("station-template");
const still = window.matchMedia("(prefers-reduced-motion: reduce)");

const svg = (name, attributes, parent) => {
  const element = document.createElementNS(kSvg, name);
  for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
  parent?.append(element);
  return element;
};

const arc = (index) => {
  const gap = 0.035;
  const from = (index / kSegments) * 2 * Math.PI - Math.PI / 2 + gap;
  const to = ((index + 1) / kSegments) * 2 * Math.PI - Math.PI / 2 - gap;
  const at = (angle) => `${(38 + 30 * Math.cos(angle)).toFixed(2)} ${(38 + 30 * Math.sin(angle)).toFixed(2)}`;
  return `M${at(from)}A30 30 0 0 1 ${at(to)}`;
};

class Station {
  constructor(parent, title, kind, isLast) {
    this.root = template.content.cloneNode(true).firstElementChild;
    this.root.dataset.kind = kind;
    this.root.querySelector("h3").textContent = title;
    this.number = this.root.querySelector(".number");
    this.unit = this.root.querySelector(".unit");
    this.facts = this.root.querySelector(".facts");
    this.art = svg("svg", {}, this.root.querySelector(".station-art"));
    if (!isLast) svg("line", {class: "track", x1: 76, y1: 38, x2: "100%", y2: 38}, this.art);
    this.flows = isLast ? [] : [svg("circle", {class: "flow", cy: 33, r: 3.5}, this.art),
                                svg("circle", {class: "flow answer", cy: 43, r: 3.5}, this.art)];
    this.draw(kind);
    parent.append(this.root);
  }

  draw(kind) {
    if (kind === "ring") {
      this.slots = Array.from({length: kSegments}, (_, i) =>
        svg("path", {class: "slot", d: arc(i)}, this.art));
      this.depth = svg("text", {class: "slot-text", x: 38, y: 43}, this.art);
    } else if (kind === "guest") {
      svg("rect", {class: "node node-front", x: 8, y: 12, width: 60, height: 44, rx: 5}, this.art);
      svg("path", {class: "node node-front", d: "M26 66h24M38 56v10"}, this.art);
    } else if (kind === "backend") {
      svg("rect", {class: "node node-back", x: 8, y: 10, width: 60, height: 24, rx: 5}, this.art);
      svg("rect", {class: "node node-back", x: 8, y: 42, width: 60, height: 24, rx: 5}, this.art);
      svg("circle", {class: "node node-back", cx: 20, cy: 22, r: 2}, this.art);
      svg("circle", {class: "node node-back", cx: 20, cy: 54, r: 2}, this.art);
    } else {
      svg("path", {class: "node node-back", d: "M10 18v40c0 5 12 9 28 9s28-4 28-9V18"}, this.art);
      svg("ellipse", {class: "node node-back", cx: 38, cy: 18, rx: 28, ry: 9}, this.art);
    }
  }

  set([number, unit], facts, known = true) {
    this.root.classList.toggle("unknown", !known);
    this.number.textContent = number;
    this.unit.textContent = unit;
    this.facts.textContent = facts.filter(Boolean).join("\n");
  }

  // How much of a ring is in use; of nothing, nothing.
  fill(share, text) {
    const busy = share > 0 ? Math.max(1, Math.round(share * kSegments)) : 0;
    this.slots.forEach((slot, i) => slot.classList.toggle("busy", i < busy));
    this.depth.textContent = text;
  }

  // Dots along the way to the next station; their speed follows the number of requests.
  move(now, perSecond) {
    const width = this.root.clientWidth;
    const isMoving = perSecond > 0 && !still.matches;
    this.flows.forEach((dot, i) => {
      const period = 2600 / (1 + Math.log10(1 + perSecond));
      const phase = ((now / period) + i * 0.5) % 1;
      const along = i === 0 ? phase : 1 - phase;
      dot.classList.toggle("moving", isMoving);
      dot.setAttribute("cx", 82 + along * Math.max(0, width - 88));
    });
  }
}

const kUnknown = ["not known here", ""];

export class Path {
  constructor(list, hasRing) {
    this.perSecond = 0;
    this.guest = new Station(list, "Guest", "guest", false);
    if (hasRing) {
      this.ring = new Station(list, "Ring", "ring", false);
      this.backend = new Station(list, "Backend", "backend", false);
    }
    this.image = new Station(list, "Image", "image", true);
  }

  update(disk, between) {
    const work = between.work;
    if (disk.state !== "plugged") {
      this.rest();
      return;
    }
    this.perSecond = work ? work.reads + work.writes : 0;
    this.guest.set(work ? format.rate(this.perSecond) : ["–", ""],
                   [disk.ring ? `${disk.ring.lanes} lane${disk.ring.lanes === 1 ? "" : "s"}` : "",
                    work ? `${format.plain(format.byteRate(work.readBytes + work.writeBytes))}` : ""]);
    if (this.ring) {
      this.updateRing(disk.ring, between, work);
      this.updateBackend(disk.backend, between.backend);
    }
    this.updateImage(disk);
  }

  // Of a disk that is not there nothing is known.
  rest() {
    this.perSecond = 0;
    for (const station of [this.guest, this.ring, this.backend, this.image]) station?.set(["–", ""], [], station === this.guest);
    this.ring?.fill(0, "");
  }

  updateRing(ring, between, work) {
    if (!ring) {
      this.ring.fill(0, "");
      this.ring.set(["–", ""], ["no ring"], false);
      return;
    }
    const depth = work ? work.depth : 0;
    this.ring.fill(ring.slots > 0 ? depth / ring.slots : 0, format.plain(format.depth(depth)));
    this.ring.set(format.rate(between.ring?.requests ?? 0),
                  [`of ${ring.slots} slots`, `${ring.pages} page${ring.pages === 1 ? "" : "s"} a lane`,
                   between.ring ? `${format.plain(format.rate(between.ring.bells))} doorbells` : "",
                   ring.reconnects > 0 ? `${ring.reconnects} reconnects` : ""]);
  }

  updateBackend(backend, work) {
    if (!backend) {
      this.backend.set(kUnknown, ["the backend's own figures need", "--backend-control"], false);
      return;
    }
    this.backend.set(work ? format.rate(work.requests) : ["–", ""],
                     [backend.state, `${backend.in_flight} in flight`,
                      work && work.p99 !== null ? `p99 ${format.plain(format.micros(work.p99))}` : "",
                      backend.persistent_grants ? "grants kept mapped" : "grants mapped each time"]);
  }

  updateImage(disk) {
    const target = disk.ring ? disk.backend?.target : disk.uri;
    const size = disk.capacity_bytes > 0 ? format.bytes(disk.capacity_bytes) : ["–", ""];
    this.image.set(size, [target ?? "what lies behind is the backend's", disk.read_only ? "read-only" : ""],
                   target !== undefined && target !== null);
  }

  animate(now) {
    for (const station of [this.guest, this.ring, this.backend]) station?.move(now, this.perSecond);
  }
}
