// One disk: its state, its path, its plots.
import * as format from "./format.js";
import {Chart} from "./chart.js";
import {Path} from "./path.js";
import {diskBetween} from "./series.js";

const template = document.getElementById("disk-template");
const kStates = {plugged: "attached", waiting: "not there yet", gone: "detached"};

export class Disk {
  constructor(parent, disk, announce) {
    this.announce = announce;
    this.state = null;
    this.root = template.content.cloneNode(true).firstElementChild;
    this.root.dataset.disk = disk.name;
    const heading = this.root.querySelector("h2");
    heading.textContent = disk.name;
    heading.id = `disk-${disk.index}`;
    this.root.setAttribute("aria-labelledby", heading.id);
    this.badge = this.root.querySelector(".badge");
    this.facts = this.root.querySelector(".disk-facts");
    this.error = this.root.querySelector(".disk-error");
    this.path = new Path(this.root.querySelector(".path"), disk.uri.startsWith("vbd:"));
    const charts = this.root.querySelector(".charts");
    this.holder = charts;
    this.hasWorked = false;
    this.charts = [
      new Chart(charts, "Throughput", [{key: "readBytes", name: "read"}, {key: "writeBytes", name: "written"}], format.byteRate),
      new Chart(charts, "Requests", [{key: "reads", name: "reads"}, {key: "writes", name: "writes"}], format.rate),
      new Chart(charts, "Latency", [{key: "p50", name: "median"}, {key: "p99", name: "p99"}], format.micros),
      new Chart(charts, "Queue depth", [{key: "depth", name: "average"}], format.depth),
    ];
    parent.append(this.root);
  }

  add(before, after, t, seconds) {
    const between = diskBetween(before, after, seconds);
    const nothing = {reads: null, writes: null, readBytes: null, writeBytes: null, depth: null, p50: null, p99: null};
    for (const chart of this.charts) chart.add({t, ...(between.work ?? nothing)});
    this.hasWorked ||= after.state !== "waiting";
    this.latest = {disk: after, between};
  }

  draw() {
    if (!this.latest) return;
    const {disk, between} = this.latest;
    if (this.state !== disk.state) {
      if (this.state !== null) this.announce(`${disk.name}: ${kStates[disk.state]}`);
      this.state = disk.state;
      this.root.dataset.state = disk.state;
      this.badge.textContent = kStates[disk.state];
    }
    this.holder.hidden = !this.hasWorked;
    this.facts.textContent = disk.uri;
    this.error.hidden = !disk.error;
    this.error.textContent = disk.error;
    this.path.update(disk, between);
    for (const chart of this.charts) chart.draw();
  }
}
