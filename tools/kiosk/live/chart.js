// One plot: up to two lines over the last minute, on a canvas, with a cursor for mouse and keyboard,
// a sentence for a screen reader and a table of the same figures.
import {plain} from "./format.js";
import {kWindowMs} from "./series.js";

const kTableRows = 10;
const template = document.getElementById("chart-template");
const kTones = ["front", "back"];

// The top of a scale: a round number above `value`.
export const niceCeiling = (value) => {
  if (!(value > 0)) return 1;
  const power = 10 ** Math.floor(Math.log10(value));
  return [1, 2, 2.5, 5, 10, 20].map((step) => step * power).find((step) => step >= value * 1.02);
};

export class Chart {
  // `lines`: [{key, name}], `format`: number to [text, unit].
  constructor(parent, title, lines, format) {
    this.title = title;
    this.lines = lines;
    this.format = format;
    this.points = [];  // {t, [key]: number or null}, in order
    this.top = 1;
    this.cursor = null;  // ms before the newest point
    const root = template.content.cloneNode(true).firstElementChild;
    root.querySelector(".chart-title").textContent = title;
    this.plot = root.querySelector(".plot");
    this.canvas = root.querySelector("canvas");
    this.details = root.querySelector("details");
    this.holder = root.querySelector(".table-holder");
    root.querySelector("summary").setAttribute("aria-label", `${title} as a table`);
    this.plot.setAttribute("aria-label", `${title}, the last minute`);
    this.legend = lines.map((line, i) => {
      const item = document.createElement("span");
      item.className = `tone-${kTones[i]}`;
      const value = document.createElement("b");
      item.append(document.createElement("i"), line.name ? `${line.name} ` : "", value);
      root.querySelector(".legend").append(item);
      return value;
    });
    this.listen();
    parent.append(root);
  }

  listen() {
    const pick = (event) => {
      const box = this.plot.getBoundingClientRect();
      this.cursor = Math.max(0, (1 - (event.clientX - box.left) / box.width) * kWindowMs);
      this.draw();
    };
    const drop = () => {
      this.cursor = null;
      this.draw();
    };
    this.plot.addEventListener("pointermove", pick);
    this.plot.addEventListener("pointerleave", drop);
    this.plot.addEventListener("blur", drop);
    this.plot.addEventListener("keydown", (event) => {
      const steps = {ArrowLeft: 1000, ArrowRight: -1000, ArrowDown: 1000, ArrowUp: -1000,
                     PageDown: 10000, PageUp: -10000};
      if (event.key in steps) this.cursor = (this.cursor ?? 0) + steps[event.key];
      else if (event.key === "Home") this.cursor = kWindowMs;
      else if (event.key === "End") this.cursor = 0;
      else if (event.key === "Escape") this.cursor = null;
      else return;
      if (this.cursor !== null) this.cursor = Math.min(kWindowMs, Math.max(0, this.cursor));
      event.preventDefault();
      this.draw();
    });
    this.details.addEventListener("toggle", () => this.fillTable());
  }

  add(point) {
    this.points.push(point);
    while (this.points.length > 0 && this.points[0].t < point.t - kWindowMs) this.points.shift();
  }

  clear() {
    this.points = [];
  }

  show(value) {
    return value === null || value === undefined ? "–" : plain(this.format(value));
  }

  // The point nearest to the cursor; without one the newest.
  chosen() {
    if (this.points.length === 0) return null;
    const newest = this.points.at(-1);
    if (this.cursor === null) return newest;
    const wanted = newest.t - this.cursor;
    return this.points.reduce((best, point) =>
      (Math.abs(point.t - wanted) < Math.abs(best.t - wanted) ? point : best));
  }

  draw() {
    const point = this.chosen();
    this.lines.forEach((line, i) => {
      this.legend[i].textContent = point ? this.show(point[line.key]) : "–";
    });
    this.describe(point);
    this.paint(point);
    if (this.details.open) this.fillTable();
  }

  describe(point) {
    const newest = this.points.at(-1);
    const ago = point ? Math.round((newest.t - point.t) / 1000) : 0;
    const parts = this.lines.map((line) =>
      `${line.name ? `${line.name} ` : ""}${point ? this.show(point[line.key]) : "nothing yet"}`);
    this.plot.setAttribute("aria-valuenow", String(-ago));
    this.plot.setAttribute("aria-valuetext",
                           `${ago === 0 ? "now" : `${ago} seconds ago`}: ${parts.join(", ")}`);
  }

  paint(point) {
    const width = this.plot.clientWidth;
    const height = this.plot.clientHeight;
    if (width === 0) return;
    const ratio = window.devicePixelRatio || 1;
    if (this.canvas.width !== Math.round(width * ratio)) this.canvas.width = Math.round(width * ratio);
    if (this.canvas.height !== Math.round(height * ratio)) this.canvas.height = Math.round(height * ratio);
    const context = this.canvas.getContext("2d");
    context.setTransform(ratio, 0, 0, ratio, 0, 0);
    context.clearRect(0, 0, width, height);
    const style = getComputedStyle(this.plot);
    const tone = (name) => style.getPropertyValue(`--${name}`).trim();
    const highest = Math.max(0, ...this.points.flatMap((p) => this.lines.map((l) => p[l.key] ?? 0)));
    this.top = niceCeiling(highest);
    const end = this.points.at(-1)?.t ?? 0;
    const x = (t) => width - ((end - t) / kWindowMs) * width;
    const y = (value) => height - 16 - (value / this.top) * (height - 30);
    this.paintGrid(context, width, height, y, tone);
    this.lines.forEach((line, i) => this.paintLine(context, line.key, x, y, tone(kTones[i]), i));
    if (point && this.cursor !== null) this.paintCursor(context, point, x, y, height, tone);
  }

  paintGrid(context, width, height, y, tone) {
    context.strokeStyle = tone("grid");
    context.fillStyle = tone("soft");
    context.lineWidth = 1;
    context.font = "11px ui-monospace, monospace";
    for (const part of [0, 0.5, 1]) {
      const at = Math.round(y(this.top * part)) + 0.5;
      context.beginPath();
      context.moveTo(0, at);
      context.lineTo(width, at);
      context.stroke();
    }
    context.textAlign = "left";
    context.fillText(plain(this.format(this.top)), 2, y(this.top) - 4);
    context.fillText("-60 s", 2, height - 3);
    context.textAlign = "right";
    context.fillText("now", width - 2, height - 3);
  }

  paintLine(context, key, x, y, colour, index) {
    const runs = [[]];
    for (const point of this.points) {
      if (point[key] === null || point[key] === undefined) runs.push([]);
      else runs.at(-1).push(point);
    }
    context.strokeStyle = colour;
    context.lineWidth = index === 0 ? 2 : 1.75;
    context.lineJoin = "round";
    context.setLineDash(index === 0 ? [] : [5, 3]);
    for (const run of runs.filter((r) => r.length > 0)) {
      context.beginPath();
      run.forEach((point, i) => (i === 0 ? context.moveTo(x(point.t), y(point[key]))
        : context.lineTo(x(point.t), y(point[key]))));
      if (run.length === 1) context.lineTo(x(run[0].t) + 1, y(run[0][key]));
      context.stroke();
      if (index !== 0) continue;
      context.lineTo(x(run.at(-1).t), y(0));
      context.lineTo(x(run[0].t), y(0));
      context.closePath();
      context.globalAlpha = 0.13;
      context.fillStyle = colour;
      context.fill();
      context.globalAlpha = 1;
    }
    context.setLineDash([]);
  }

  paintCursor(context, point, x, y, height, tone) {
    const at = Math.round(x(point.t)) - 0.5;
    context.strokeStyle = tone("ink");
    context.lineWidth = 1;
    context.beginPath();
    context.moveTo(at, 12);
    context.lineTo(at, height - 16);
    context.stroke();
    this.lines.forEach((line, i) => {
      if (point[line.key] === null || point[line.key] === undefined) return;
      context.fillStyle = tone(kTones[i]);
      context.beginPath();
      context.arc(at, y(point[line.key]), 4, 0, 2 * Math.PI);
      context.fill();
    });
  }

  fillTable() {
    const newest = this.points.at(-1)?.t ?? 0;
    const table = document.createElement("table");
    const head = table.createTHead().insertRow();
    for (const name of ["Seconds ago", ...this.lines.map((line) => line.name || this.title)]) {
      const cell = document.createElement("th");
      cell.scope = "col";
      cell.textContent = name;
      head.append(cell);
    }
    const body = table.createTBody();
    for (const point of this.points.slice(-kTableRows).reverse()) {
      const row = body.insertRow();
      row.insertCell().textContent = ((newest - point.t) / 1000).toFixed(1);
      for (const line of this.lines) row.insertCell().textContent = this.show(point[line.key]);
    }
    this.holder.replaceChildren(table);
  }
}
