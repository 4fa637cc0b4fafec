// Data, numbers for people, and building of elements. Text enters the page only as text nodes, never as markup.

const data = JSON.parse(document.getElementById("data").textContent);
const run = data.summary;
const cloud = data.candidates; // columns, one entry a candidate
const devices = data.devices;

// What the reader has chosen. `x`: a key of `metrics`; `selected`: {net: i} or {candidate: i} or null.
const state = { x: "", y: "test", view: "front", log: false, selected: null, sort: null };

function element(namespace, tag, attributes, children) {
  const node = namespace ? document.createElementNS(namespace, tag) : document.createElement(tag);
  for (const [name, value] of Object.entries(attributes || {})) {
    if (value === undefined || value === null || value === false) continue;
    if (name === "text") node.textContent = value;
    else if (name === "on") for (const [event, handler] of Object.entries(value)) node.addEventListener(event, handler);
    else if (name === "style") Object.assign(node.style, value);
    else node.setAttribute(name, value === true ? "" : value);
  }
  node.append(...children.flat(Infinity).filter((child) => child !== null && child !== undefined && child !== ""));
  return node;
}
const html = (tag, attributes, ...children) => element(null, tag, attributes, children);
const svg = (tag, attributes, ...children) => element("http://www.w3.org/2000/svg", tag, attributes, children);
const fill = (id, ...children) => document.getElementById(id).replaceChildren(...children.flat(Infinity).filter(Boolean));

/** A table that scrolls by itself on a narrow screen. */
const scrolled = (table) => html("div", { class: "scroll" }, table);

const known = (value) => typeof value === "number" && Number.isFinite(value);
const plural = (count, noun, many) => `${count.toLocaleString("en")} ${count === 1 ? noun : many || noun + "s"}`;
const percent = (value, digits = 1) => (known(value) ? `${(100 * value).toFixed(digits)} %` : "–");

/** A number with three significant digits or more, without exponent where that is readable. */
function figure(value) {
  if (!known(value)) return "–";
  const size = Math.abs(value);
  if (size >= 1e6 || (size > 0 && size < 1e-4)) return value.toPrecision(3);
  if (size > 0 && size < 0.1) return String(Number(value.toPrecision(3)));
  return value.toFixed(size < 10 ? 3 : size < 100 ? 2 : 1);
}
/** "91.20 % ± 0.28 %"; what was looked up in a table has no standard error. */
const accuracyText = (top1, error) => `${percent(top1, 2)}${error > 0 ? ` ± ${percent(error, 2)}` : ""}`;
const ms = (value) => `${figure(value)} ms`;
const millijoules = (value) => `${figure(value)} mJ`;

function scaled(value, step, units) {
  if (!known(value)) return "–";
  let unit = 0;
  let rest = value;
  while (Math.abs(rest) >= step && unit + 1 < units.length) { rest /= step; unit += 1; }
  const digits = unit === 0 || Math.abs(rest) >= 100 ? 0 : Math.abs(rest) >= 10 ? 1 : 2;
  return `${rest.toFixed(digits)} ${units[unit]}`.trim();
}
const count = (value) => scaled(value, 1000, ["", "k", "M", "G", "T"]);
const bytes = (value) => scaled(value, 1000, ["B", "kB", "MB", "GB", "TB"]);

function duration(seconds) {
  if (!known(seconds)) return "–";
  if (seconds < 60) return `${seconds.toFixed(1)} s`;
  const minutes = Math.floor(seconds / 60);
  if (minutes < 60) return `${minutes} min ${String(Math.round(seconds % 60)).padStart(2, "0")} s`;
  return `${Math.floor(minutes / 60)} h ${String(minutes % 60).padStart(2, "0")} min`;
}
const moment = (iso) => iso.replace("T", " ").replace(/:\d\dZ$/, " UTC");

// Metrics: every one gives [value, low, high] of a candidate or of a network of the front, or null.

const latencyOf = (net, device) => net.latencies.find((entry) => entry.device === device);
function triple(latency) { return latency ? [latency.median_ms, latency.low_ms, latency.high_ms] : null; }

function latencyMetric(device, index) {
  const column = cloud.latencies[index];
  return {
    key: `latency@${device}`, device, name: `latency on ${device}`, unit: "ms", format: ms,
    candidate: (i) => (column.median[i] === null ? null : [column.median[i], column.low[i], column.high[i]]),
    net: (net, phase) => { const entry = latencyOf(net, device); return entry ? triple(entry[phase]) : null; },
    baseline: (entry) => { const found = entry.latencies.find((l) => l.device === device); return found ? triple(found.latency) : null; },
  };
}
const energyTriple = (latency) => (latency && latency.energy ? [latency.energy.mean_mj, latency.energy.low_mj, latency.energy.high_mj] : null);
/** Null where no candidate's energy was measured. */
function energyMetric(device, index) {
  const column = cloud.energies[index];
  if (column === null) return null;
  return {
    key: `energy@${device}`, device, name: `energy on ${device}`, unit: "mJ", format: millijoules,
    candidate: (i) => (column.mean[i] === null ? null : [column.mean[i], column.low[i], column.high[i]]),
    net: (net, phase) => { const entry = latencyOf(net, device); return entry ? energyTriple(entry[phase]) : null; },
    baseline: (entry) => { const found = entry.latencies.find((l) => l.device === device); return found ? energyTriple(found.latency) : null; },
  };
}
function countedMetric(key, field, name, unit, format) {
  const exact = (value) => (known(value) && value > 0 ? [value, value, value] : null); // 0: unknown
  return { key, name, unit, format, candidate: (i) => exact(cloud[field][i]), net: (net) => exact(net[field]), baseline: (entry) => exact(entry[field]) };
}
const metrics = [
  ...devices.map(latencyMetric),
  ...devices.map(energyMetric).filter((metric) => metric !== null),
  countedMetric("macs", "macs", "multiply-accumulates", "", count),
  countedMetric("params", "params", "parameters", "", count),
  countedMetric("peak_memory", "peak_memory_bytes", "peak memory", "", bytes),
  countedMetric("model_size", "model_size_bytes", "model size", "", bytes),
];
/** What the accuracies of the search are called. */
const searchedAccuracy = run.data.table ? "accuracy" : "validation";
const isReplay = (device) => device.engine === "replay";
const isBehind = (net) => net.feasible && Boolean(net.dominated_by);
const winners = run.front.filter((net) => net.feasible && !isBehind(net));
const metricOf = (key) => metrics.find((metric) => metric.key === key);

/** The confirmed value where there is one, else the searched one. */
const best = (metric, net) => metric.net(net, "confirmed") || metric.net(net, "searched");
const accuracyOf = (net) => net.test || net.validation;
function accuracyTriple(accuracy) {
  return accuracy ? [accuracy.top1, accuracy.top1 - 1.96 * accuracy.standard_error, accuracy.top1 + 1.96 * accuracy.standard_error] : null;
}
const hasTest = run.front.some((net) => net.test);
const hasConfirmed = run.front.some((net) => net.latencies.some((entry) => entry.confirmed));

// Tooltip: lines of text, the first in bold.

const tip = document.getElementById("tip");
function showTip(lines, x, y) {
  tip.replaceChildren(html("b", { text: lines[0] }), ...lines.slice(1).map((line) => html("div", { text: line })));
  tip.hidden = false;
  const box = tip.getBoundingClientRect();
  tip.style.left = `${Math.max(8, Math.min(x + 14, window.innerWidth - box.width - 8))}px`;
  tip.style.top = `${y + box.height + 24 > window.innerHeight ? Math.max(8, y - box.height - 12) : y + 14}px`;
}
function hideTip() { tip.hidden = true; }

/** Calls `draw(width)` now and whenever the width of `box` changes. */
function responsive(box, draw) {
  let width = box.clientWidth;
  draw(width);
  new ResizeObserver(() => {
    if (box.clientWidth === width || box.clientWidth === 0) return;
    width = box.clientWidth;
    draw(width);
  }).observe(box);
}

/** About `wanted` round values in [low, high]; bounded, whatever the numbers. */
function ticks(low, high, wanted) {
  const rough = (high - low) / Math.max(1, wanted);
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = [1, 2, 5, 10].map((factor) => factor * power).find((candidate) => candidate >= rough) || rough;
  const first = Math.ceil(low / step - 1e-9);
  return Array.from({ length: Math.min(60, Math.max(0, Math.floor(high / step + 1e-9) - first + 1)) || 0 }, (unused, i) => Number(((first + i) * step).toPrecision(12)));
}
function logTicks(low, high) {
  const from = Math.floor(Math.log10(low));
  const to = Math.ceil(Math.log10(high));
  const stride = Math.ceil((to - from) / 12);
  const factors = to - from > 3 ? [1] : [1, 2, 5];
  const list = [];
  for (let power = from; power <= to; power += stride) {
    for (const factor of factors) {
      const value = Number((factor * 10 ** power).toPrecision(6));
      if (value >= low && value <= high) list.push(value);
    }
  }
  return list;
}
/** A map of [low, high] onto [from, to]. */
function scale(low, high, from, to, log) {
  const bend = log ? Math.log : (value) => value;
  const start = bend(low);
  const span = bend(high) - start || 1;
  return (value) => from + ((bend(value) - start) / span) * (to - from);
}
