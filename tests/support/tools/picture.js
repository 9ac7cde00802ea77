// The page as it stands, drawn as one SVG: boxes, lines of text where they are, inline drawings, and
// what scripts painted on canvases. Injected before the page's own scripts run (the canvases have to
// be listened to); then splitringPicture(title) returns the SVG's text. For pages without images,
// shadows and transforms.
(() => {
  const painted = new WeakMap();
  const proto = CanvasRenderingContext2D.prototype;
  const round = (value) => Math.round(value * 10) / 10;
  const listen = (name, hear) => {
    const original = proto[name];
    proto[name] = function (...parameters) {
      const log = painted.get(this.canvas) ?? {path: "", marks: []};
      painted.set(this.canvas, log);
      hear(this, log, ...parameters);
      return original.apply(this, parameters);
    };
  };
  listen("clearRect", (_, log) => { log.marks = []; });
  listen("beginPath", (_, log) => { log.path = ""; });
  listen("moveTo", (_, log, x, y) => { log.path += `M${round(x)} ${round(y)}`; });
  listen("lineTo", (_, log, x, y) => { log.path += `L${round(x)} ${round(y)}`; });
  listen("closePath", (_, log) => { log.path += "Z"; });
  listen("stroke", (context, log) => log.marks.push(["path", {
    "d": log.path, "fill": "none", "stroke": context.strokeStyle, "stroke-width": context.lineWidth,
    "stroke-dasharray": context.getLineDash().join(" ")}]));
  listen("fill", (context, log) => log.marks.push(["path", {
    "d": log.path, "fill": context.fillStyle, "fill-opacity": context.globalAlpha}]));
  listen("fillText", (context, log, text, x, y) => log.marks.push(["text", {
    x: round(x), y: round(y), "fill": context.fillStyle, "font-size": 11, "font-family": "monospace",
    "text-anchor": context.textAlign === "right" ? "end" : "start"}, text]));

  const escape = (text) => String(text).replace(/[&<>"]/g, (c) => `&#${c.charCodeAt(0)};`);
  const mark = ([name, attributes, text]) => {
    const written = Object.entries(attributes).filter(([, value]) => value !== "" && value !== null)
      .map(([key, value]) => `${key}="${escape(value)}"`).join(" ");
    return text === undefined ? `<${name} ${written}/>` : `<${name} ${written}>${escape(text)}</${name}>`;
  };
  const isClear = (colour) => colour === "transparent" || /, 0\)$/.test(colour);
  const family = (style) => (/mono/.test(style.fontFamily) ? "ui-monospace, monospace"
    : "system-ui, sans-serif");

  const box = (element, style, out) => {
    const {left, top, width, height} = element.getBoundingClientRect();
    const border = parseFloat(style.borderTopWidth);
    const isLine = border > 0 && parseFloat(style.borderLeftWidth) === 0;
    if (isLine) {
      out.push(mark(["line", {x1: round(left), x2: round(left + width), y1: round(top + border / 2),
        y2: round(top + border / 2), stroke: style.borderTopColor, "stroke-width": border,
        "stroke-dasharray": style.borderTopStyle === "dashed" ? "5 3" : ""}]));
      return;
    }
    if (isClear(style.backgroundColor) && !(border > 0)) return;
    const radius = /%$/.test(style.borderTopLeftRadius) ? width / 2
      : Math.min(parseFloat(style.borderTopLeftRadius), height / 2, width / 2);
    out.push(mark(["rect", {x: round(left + border / 2), y: round(top + border / 2),
      width: round(width - border), height: round(height - border), rx: round(radius),
      fill: isClear(style.backgroundColor) ? "none" : style.backgroundColor,
      stroke: border > 0 ? style.borderTopColor : "", "stroke-width": border > 0 ? border : "",
      "stroke-dasharray": border > 0 && style.borderTopStyle === "dashed" ? "4 3" : ""}]));
  };

  const probe = document.createElement("canvas").getContext("2d");
  const words = (node, style, out) => {
    const lines = [];
    for (const match of node.data.matchAll(/\S+/g)) {
      const range = document.createRange();
      range.setStart(node, match.index);
      range.setEnd(node, match.index + match[0].length);
      const rect = range.getBoundingClientRect();
      if (rect.width === 0) continue;
      const line = lines.at(-1);
      if (line && Math.abs(line.top - rect.top) < 2) {
        line.text += ` ${match[0]}`;
        line.right = rect.right;
      } else {
        lines.push({text: match[0], left: rect.left, right: rect.right, top: rect.top, height: rect.height});
      }
    }
    probe.font = `${style.fontWeight} ${style.fontSize} ${style.fontFamily}`;
    const metrics = probe.measureText("x");
    const up = metrics.fontBoundingBoxAscent;
    const down = metrics.fontBoundingBoxDescent;
    for (const line of lines) {
      out.push(mark(["text", {x: round(line.left), y: round(line.top + (line.height - up - down) / 2 + up),
        textLength: round(line.right - line.left), lengthAdjust: "spacingAndGlyphs",
        "font-size": parseFloat(style.fontSize), "font-weight": style.fontWeight,
        "font-family": family(style), fill: style.color}, line.text]));
    }
  };

  const drawing = (element, out) => {
    const {left, top, width, height} = element.getBoundingClientRect();
    const copy = element.cloneNode(true);
    const originals = [...element.querySelectorAll("*")];
    [...copy.querySelectorAll("*")].forEach((part, i) => {
      const style = getComputedStyle(originals[i]);
      if (style.visibility === "hidden" || style.display === "none") {
        part.remove();
        return;
      }
      part.removeAttribute("class");
      for (const name of ["fill", "stroke", "stroke-width", "stroke-dasharray", "text-anchor", "font-size", "font-weight"]) {
        const value = style.getPropertyValue(name);
        if (value && value !== "none" || name === "fill") part.setAttribute(name, value.replace(/px/g, ""));
      }
      if (part.tagName === "text") part.setAttribute("font-family", "system-ui, sans-serif");
      for (const name of ["x2"]) {
        if (part.getAttribute(name) === "100%") part.setAttribute(name, round(width));
      }
    });
    for (const [name, value] of Object.entries({x: left, y: top, width, height})) copy.setAttribute(name, round(value));
    copy.setAttribute("overflow", "visible");
    copy.setAttribute("fill", "none");
    if (getComputedStyle(element.parentElement).opacity !== "1")
      copy.setAttribute("opacity", getComputedStyle(element.parentElement).opacity);
    copy.removeAttribute("class");
    out.push(new XMLSerializer().serializeToString(copy));
  };

  const visit = (element, out) => {
    const style = getComputedStyle(element);
    const rect = element.getBoundingClientRect();
    if (style.display === "none" || style.visibility === "hidden" || rect.width <= 1 || rect.right < 0) return;
    if (element.tagName === "svg") return drawing(element, out);
    box(element, style, out);
    if (element.tagName === "CANVAS") {
      out.push(`<svg x="${round(rect.left)}" y="${round(rect.top)}" width="${round(rect.width)}" height="${round(rect.height)}">`,
               ...(painted.get(element)?.marks ?? []).map(mark), "</svg>");
      return;
    }
    for (const child of element.childNodes) {
      if (child.nodeType === Node.TEXT_NODE) words(child, style, out);
      else if (child.nodeType === Node.ELEMENT_NODE) visit(child, out);
    }
  };

  window.splitringPicture = (title) => {
    const width = document.documentElement.clientWidth;
    const height = Math.ceil(document.documentElement.scrollHeight);
    const out = [];
    visit(document.body, out);
    return `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${width} ${height}" role="img" aria-label="${escape(title)}">\n`
      + `<rect width="${width}" height="${height}" rx="12" fill="${getComputedStyle(document.documentElement).backgroundColor}"/>\n`
      + `${out.join("\n")}\n</svg>\n`;
  };
})();
