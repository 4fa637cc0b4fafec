// The plot of accuracy against a cost: all candidates as one path of dots, the front as marks with error bars.

const plot = { box: null, hover: null, near: null, x: null, y: null };

function netPoint(net, phase, metric) {
  const x = metric.net(net, phase) || (phase === "searched" && !net.steps ? metric.net(net, "confirmed") : null);
  const accuracy = phase === "confirmed" && state.y === "test" && net.test ? net.test : net.validation;
  return x && { x, y: accuracyTriple(accuracy) };
}
/** A network's points: where the search saw it and where fresh measurements put it; either may be null. */
function netPoints(net, metric) {
  const fresh = metric.device === undefined ? net.test : metric.net(net, "confirmed");
  return { searched: netPoint(net, "searched", metric), confirmed: fresh ? netPoint(net, "confirmed", metric) : null };
}

const quantile = (sorted, p) => sorted[Math.min(sorted.length - 1, Math.max(0, Math.round(p * (sorted.length - 1))))];

/** The range to show: everything, or the front with some of its surroundings and a bound that is near. */
function domain(values, focus, padding, marks) {
  const sorted = values.slice().sort((a, b) => a - b);
  let low = sorted[0];
  let high = sorted[sorted.length - 1];
  if (state.view !== "all" && focus.length > 0) {
    const from = Math.min(...focus);
    const to = Math.max(...focus);
    const reach = (to - from) * 0.45;
    low = Math.min(from, Math.max(quantile(sorted, 0.05), from - reach));
    high = Math.max(to, Math.min(quantile(sorted, 0.95), to + reach));
    for (const mark of marks) if (mark <= to + 2.5 * reach && mark >= from - 2.5 * reach) { low = Math.min(low, mark); high = Math.max(high, mark); }
  } else {
    const reach = (high - low) * 0.5;
    for (const mark of marks) if (mark <= high + reach && mark >= low - reach) { low = Math.min(low, mark); high = Math.max(high, mark); }
  }
  if (!(high > low)) { const spread = Math.abs(low) * 0.1 || 0.1; low -= spread; high += spread; }
  const margin = (high - low) * padding;
  return [low - margin, high + margin];
}

function domains(metric) {
  const xs = [];
  const ys = [];
  for (let i = 0; i < cloud.index.length; i += 1) {
    const x = metric.candidate(i);
    if (x && cloud.top1[i] !== null) { xs.push(x[0]); ys.push(cloud.top1[i]); }
  }
  const fx = [];
  const fy = [];
  for (const net of run.front) {
    const points = netPoints(net, metric);
    for (const point of [points.searched, points.confirmed]) if (point) { fx.push(point.x[1], point.x[2]); fy.push(point.y[1], point.y[2]); }
  }
  if (xs.length + fx.length === 0) return null;
  const marks = (key) => run.search.constraints.filter((bound) => bound.metric === key).map((bound) => bound.bound);
  const published = state.view === "all" ? run.baselines.map((entry) => metric.baseline(entry)).filter(Boolean).map((x) => x[0]) : [];
  const [xl, xh] = domain([...xs, ...fx, ...published], fx, 0.06, marks(metric.key));
  const [yl, yh] = domain([...ys, ...fy], fy, 0.05, marks("accuracy"));
  const smallest = [...xs, ...fx].reduce((a, b) => Math.min(a, b), Infinity);
  return { x: [state.log ? Math.max(xl, smallest * 0.9, 1e-9) : Math.max(0, xl), xh], y: [Math.max(0, yl), Math.min(1.005, yh)], logarithmic: state.log && smallest > 0 };
}

function axes(frame, metric, range) {
  const group = svg("g");
  const xt = range.logarithmic ? logTicks(...range.x) : ticks(...range.x, frame.width / 95);
  for (const tick of xt) {
    const x = plot.x(tick);
    group.append(svg("line", { class: "gridline", x1: x, x2: x, y1: frame.top, y2: frame.bottom }),
      svg("text", { x, y: frame.bottom + 18, "text-anchor": "middle", text: metric.unit === "ms" ? String(tick) : metric.format(tick) }));
  }
  const yt = ticks(...range.y, (frame.bottom - frame.top) / 52);
  const digits = yt.length > 1 && yt[1] - yt[0] < 0.01 ? 1 : 0;
  for (const tick of yt) {
    const y = plot.y(tick);
    group.append(svg("line", { class: "gridline", x1: frame.left, x2: frame.right, y1: y, y2: y }),
      svg("text", { x: frame.left - 8, y: y + 4, "text-anchor": "end", text: `${(100 * tick).toFixed(digits)} %` }));
  }
  group.append(svg("line", { class: "baseaxis", x1: frame.left, x2: frame.right, y1: frame.bottom, y2: frame.bottom }),
    svg("text", { class: "axis-title", x: frame.right, y: frame.bottom + 37, "text-anchor": "end", text: `${metric.name}${metric.unit ? `, ${metric.unit}` : ""}${range.logarithmic ? " (logarithmic)" : ""} →` }),
    svg("text", { class: "axis-title", x: 2, y: 13, text: "↑ accuracy" }));
  return group;
}

function bounds(frame, metric, range) {
  const group = svg("g", { class: "bounds" });
  for (const bound of run.search.constraints) {
    const vertical = bound.metric === metric.key;
    if (!vertical && bound.metric !== "accuracy") continue;
    const [low, high] = vertical ? range.x : range.y;
    if (bound.bound < low || bound.bound > high) continue;
    const at = vertical ? plot.x(bound.bound) : plot.y(bound.bound);
    const beyond = vertical
      ? { x: bound.at_most ? at : frame.left, width: bound.at_most ? frame.right - at : at - frame.left, y: frame.top, height: frame.bottom - frame.top }
      : { x: frame.left, width: frame.right - frame.left, y: bound.at_most ? frame.top : at, height: bound.at_most ? at - frame.top : frame.bottom - at };
    group.append(svg("rect", { class: "beyond", ...beyond }));
    if (vertical) {
      const left = at > frame.right - 150;
      group.append(svg("line", { class: "bound", x1: at, x2: at, y1: frame.top, y2: frame.bottom }),
        svg("text", { class: "bound-label", x: left ? at + 4 : Math.max(at - 4, 84), y: frame.top - 6, "text-anchor": left ? "end" : "start", text: bound.text }));
    } else {
      group.append(svg("line", { class: "bound", x1: frame.left, x2: frame.right, y1: at, y2: at }),
        svg("text", { class: "bound-label", x: frame.right - 6, y: at - 6, "text-anchor": "end", text: bound.text }));
    }
  }
  return group;
}

/** All candidates as three paths of zero-length strokes; remembers where they are for the pointer. */
function dots(frame, metric) {
  const paths = { stopped: [], bad: [], good: [] };
  plot.near = new Map();
  let outside = 0;
  let missing = 0;
  for (let i = 0; i < cloud.index.length; i += 1) {
    const value = metric.candidate(i);
    if (!value || cloud.top1[i] === null) { missing += 1; continue; }
    const x = plot.x(value[0]);
    const y = plot.y(cloud.top1[i]);
    if (!(x >= frame.left - 1 && x <= frame.right + 1 && y >= frame.top - 1 && y <= frame.bottom + 1)) { outside += 1; continue; }
    paths[isStopped(i) ? "stopped" : cloud.feasible[i] ? "good" : "bad"].push(`M${x.toFixed(1)} ${y.toFixed(1)}h0`);
    const cell = `${Math.floor(x / 16)},${Math.floor(y / 16)}`;
    if (!plot.near.has(cell)) plot.near.set(cell, []);
    plot.near.get(cell).push([x, y, i]);
  }
  const width = cloud.index.length > 4000 ? 3 : cloud.index.length > 800 ? 4.5 : 6;
  const group = svg("g", {}, Object.entries(paths).map(([name, path]) => svg("path", { class: `dots ${name}`, d: path.join(""), "stroke-width": name === "stopped" ? 0.7 * width : width })));
  return { group, outside, missing, drawn: Object.values(paths).reduce((sum, path) => sum + path.length, 0) };
}

function cross(point, style, chosen) {
  const x = plot.x(point.x[0]);
  const y = plot.y(point.y[0]);
  return [svg("line", { class: `err ${style}${chosen ? " on" : ""}`, x1: plot.x(point.x[1]), x2: plot.x(point.x[2]), y1: y, y2: y }),
    svg("line", { class: `err ${style}${chosen ? " on" : ""}`, x1: x, x2: x, y1: plot.y(point.y[1]), y2: plot.y(point.y[2]) })];
}

/** The staircase through the shown networks that none of the others beats in both directions. */
function staircase(points) {
  const sorted = points.slice().sort((a, b) => a.x[0] - b.x[0] || b.y[0] - a.y[0]);
  let top = -Infinity;
  let path = "";
  for (const point of sorted) {
    if (point.y[0] <= top) continue;
    const x = plot.x(point.x[0]).toFixed(1);
    path += path === "" ? `M${x} ${plot.y(point.y[0]).toFixed(1)}` : `H${x}V${plot.y(point.y[0]).toFixed(1)}`;
    top = point.y[0];
  }
  return svg("path", { class: "frontline", d: path });
}

function moveFocus(event, order, place) {
  const step = { ArrowRight: 1, ArrowDown: 1, ArrowLeft: -1, ArrowUp: -1 }[event.key];
  if (!step) return false;
  const next = order[(place + step + order.length) % order.length];
  plot.box.querySelector(`[data-net="${next}"]`).focus();
  return true;
}

function mark(i, points, order) {
  const net = run.front[i];
  const main = points.confirmed || points.searched;
  const x = plot.x(main.x[0]);
  const y = plot.y(main.y[0]);
  const show = (event) => { const area = event.currentTarget.getBoundingClientRect(); showTip(netLines(net, i), area.right - 8, area.top + 8); };
  return svg("g", {
    class: `mark${isNet(i) ? " on" : ""}${isBehind(net) ? " behind" : ""}`, tabindex: "0", role: "button", "data-net": i, "aria-label": netLines(net, i).join(", "), "aria-pressed": String(isNet(i)),
    on: {
      click: () => select({ net: i }), focus: show, pointerenter: show, blur: hideTip, pointerleave: hideTip,
      keydown: (event) => {
        if (event.key === "Enter" || event.key === " ") select({ net: i });
        else if (event.key === "Escape") hideTip();
        else if (!moveFocus(event, order, order.indexOf(i))) return;
        event.preventDefault();
      },
    },
  },
  svg("circle", { class: "hit", cx: x, cy: y, r: 13 }), svg("circle", { class: "ring", cx: x, cy: y, r: 9.5 }),
  svg("circle", { class: !net.feasible ? "broken" : points.confirmed ? "confirmed" : "searched", cx: x, cy: y, r: 5.8 }));
}

/** Names beside the marks: those of the selected network and of roles first, others where there is room. */
function labels(places, frame) {
  const taken = [];
  const group = svg("g", { "aria-hidden": "true" });
  const order = places.slice().sort((a, b) => Number(isNet(b.i)) - Number(isNet(a.i)) || run.front[b.i].roles.length - run.front[a.i].roles.length);
  for (const { i, x, y } of order) {
    const role = run.front[i].roles.length ? ` ${run.front[i].roles[0]}` : "";
    const text = role && frame.width > 480 ? `${run.front[i].id} ·${role}` : run.front[i].id;
    const width = text.length * 6.3;
    const left = x - width - 12 < frame.left ? false : x + width + 12 > frame.right || role === "";
    const box = { x: left ? x - width - 11 : x + 11, y: y - 18, width, height: 14 };
    const clash = taken.some((other) => box.x < other.x + other.width && other.x < box.x + box.width && box.y < other.y + other.height && other.y < box.y + box.height)
      || places.some((other) => other.i !== i && other.x > box.x - 4 && other.x < box.x + box.width + 4 && other.y > box.y - 4 && other.y < box.y + box.height + 4);
    if (clash && !isNet(i)) continue;
    taken.push(box);
    group.append(svg("text", { class: "net-label", x: left ? x - 11 : x + 11, y: y - 7, "text-anchor": left ? "end" : "start", text }));
  }
  return group;
}

function nets(frame, metric) {
  const group = svg("g");
  const all = run.front.map((net, i) => ({ i, ...netPoints(net, metric) })).filter((entry) => entry.searched || entry.confirmed);
  const order = all.slice().sort((a, b) => (a.confirmed || a.searched).x[0] - (b.confirmed || b.searched).x[0]).map((entry) => entry.i);
  group.append(staircase(all.filter((entry) => winners.includes(run.front[entry.i])).map((entry) => entry.confirmed || entry.searched)));
  for (const { i, searched, confirmed } of all) {
    if (searched && confirmed) {
      group.append(svg("line", { class: "link", x1: plot.x(searched.x[0]), y1: plot.y(searched.y[0]), x2: plot.x(confirmed.x[0]), y2: plot.y(confirmed.y[0]) }),
        svg("circle", { class: "searched", cx: plot.x(searched.x[0]), cy: plot.y(searched.y[0]), r: 4 }));
    }
    group.append(...(searched ? cross(searched, "cool", isNet(i)) : []), ...(confirmed ? cross(confirmed, "", isNet(i)) : []));
  }
  for (const entry of all) group.append(mark(entry.i, entry, order));
  const places = all.map((entry) => { const main = entry.confirmed || entry.searched; return { i: entry.i, x: plot.x(main.x[0]), y: plot.y(main.y[0]) }; });
  return [group, labels(places, frame)];
}

/** Published networks: a diamond where their accuracy here is known, else a line at their cost, since it may be anywhere on it. */
function baselines(frame, metric, range) {
  const known = run.baselines.map((entry) => ({ entry, x: metric.baseline(entry) })).filter(({ x }) => x).sort((a, b) => a.x[0] - b.x[0]);
  const inside = known.filter(({ x }) => x[0] >= range.x[0] && x[0] <= range.x[1]);
  const ends = []; // where the last name of each row stops, so that the names of near lines stand above each other
  const lines = inside.filter(({ entry }) => !entry.accuracy).map(({ x }) => svg("line", { class: "baseline-line", x1: plot.x(x[0]), x2: plot.x(x[0]), y1: frame.top, y2: frame.bottom }));
  const marks = inside.map(({ entry, x }) => {
    const at = plot.x(x[0]);
    const facts = [entry.name, entry.accuracy ? `accuracy ${percent(entry.accuracy.top1, 2)}` : "not trained here, so its accuracy is unknown", `${metric.name} ${metric.device === undefined ? metric.format(x[0]) : interval(x, metric.format)}`];
    const width = entry.name.length * 6.6 + 12;
    const right = at + width > frame.right;
    const from = right ? at - width : at;
    let row = ends.findIndex((end) => end < from);
    if (row < 0) row = ends.length;
    ends[row] = from + width;
    const y = entry.accuracy ? plot.y(entry.accuracy.top1) : frame.bottom - 8 - 15 * row;
    const under = y + 18 < frame.bottom ? y + 18 : y - 8; // the names of the front's networks stand above theirs
    return svg("g", { class: "baseline", on: { pointerenter: (event) => showTip(facts, event.clientX, event.clientY), pointerleave: hideTip } },
      entry.accuracy ? svg("path", { class: "basemark", d: `M${at} ${y - 7}l6 7l-6 7l-6 -7z` }) : svg("line", { class: "hit-line", x1: at, x2: at, y1: frame.top, y2: frame.bottom }),
      svg("text", { class: "base-label", x: right ? at - 7 : at + 7, y: entry.accuracy ? under : y, "text-anchor": right ? "end" : "start", text: entry.name }));
  });
  const beyond = known.filter(({ x }) => x[0] > range.x[1]);
  const names = beyond.map(({ entry, x }, i) => svg("text", { class: "base-label", x: frame.right - 4, y: frame.bottom - 8 - 15 * (ends.length + beyond.length - 1 - i), "text-anchor": "end", text: `${entry.name} ${metric.format(x[0])} →` }));
  return svg("g", { "data-baselines": inside.length, "data-beyond": beyond.length }, lines, marks, names);
}

function nearestCandidate(x, y) {
  let found = null;
  let least = 14 * 14;
  for (let cx = Math.floor(x / 16) - 1; cx <= Math.floor(x / 16) + 1; cx += 1) {
    for (let cy = Math.floor(y / 16) - 1; cy <= Math.floor(y / 16) + 1; cy += 1) {
      for (const point of plot.near.get(`${cx},${cy}`) || []) {
        const distance = (point[0] - x) ** 2 + (point[1] - y) ** 2;
        if (distance < least) { least = distance; found = point; }
      }
    }
  }
  return found;
}

function pointerOver(event) {
  if (event.target.closest(".mark, .baseline")) { plot.hover.setAttribute("r", 0); return null; }
  const area = plot.box.getBoundingClientRect();
  const found = nearestCandidate(event.clientX - area.left, event.clientY - area.top);
  plot.hover.setAttribute("r", found ? 6 : 0);
  if (!found) { hideTip(); return null; }
  plot.hover.setAttribute("cx", found[0]);
  plot.hover.setAttribute("cy", found[1]);
  showTip(candidateLines(found[2]), event.clientX, event.clientY);
  return found[2];
}

function drawPlot(width) {
  const metric = metricOf(state.x);
  const range = domains(metric);
  if (!range) { plot.box.replaceChildren(html("p", { class: "muted", text: `No candidate has both an accuracy and a value for ${metric.name}.` })); return; }
  const height = Math.round(Math.min(560, Math.max(330, width * 0.64)));
  const frame = { left: 50, right: width - 10, top: 26, bottom: height - 46, width };
  plot.x = scale(...range.x, frame.left, frame.right, range.logarithmic);
  plot.y = scale(...range.y, frame.bottom, frame.top, false);
  const points = dots(frame, metric);
  plot.hover = svg("circle", { class: "hover", r: 0 });
  plot.box.replaceChildren(svg("svg", {
    id: "pareto", width, height, viewBox: `0 0 ${width} ${height}`, role: "group", "aria-label": `Accuracy against ${metric.name}`,
    "data-points": points.drawn, "data-outside": points.outside, "data-missing": points.missing,
    on: { pointermove: pointerOver, pointerleave: () => { plot.hover.setAttribute("r", 0); hideTip(); }, click: (event) => { const i = pointerOver(event); if (i !== null) select({ candidate: i }); } },
  },
  svg("clipPath", { id: "inside" }, svg("rect", { x: frame.left, y: frame.top - 14, width: frame.right - frame.left + 10, height: frame.bottom - frame.top + 21 })),
  axes(frame, metric, range), bounds(frame, metric, range), svg("g", { "clip-path": "url(#inside)" }, points.group, baselines(frame, metric, range), nets(frame, metric)), plot.hover));
  const note = [points.outside ? `${plural(points.outside, "candidate")} outside this view` : "", points.missing ? `${plural(points.missing, "candidate")} without a value` : ""].filter(Boolean);
  document.getElementById("plot-note").textContent = note.join(" · ");
}

function segment(label, options, current, choose) {
  const buttons = options.map(([value, text]) => html("button", {
    type: "button", text, "data-value": value, "aria-pressed": String(current() === value),
    on: { click: () => { choose(value); for (const button of buttons) button.setAttribute("aria-pressed", String(current() === button.dataset.value)); } },
  }));
  return html("span", { class: "seg", role: "group", "aria-label": label }, buttons);
}

function drawTradeoff() {
  if (cloud.index.length === 0 && run.front.length === 0) return;
  const usable = metrics.filter((metric) => run.front.some((net) => best(metric, net)) || cloud.index.some((index, i) => metric.candidate(i)) || metric.key === state.x);
  const redraw = () => drawPlot(plot.box.clientWidth);
  const chooser = html("select", { id: "x-metric", on: { change: (event) => { state.x = event.target.value; redraw(); } } },
    usable.map((metric) => html("option", { value: metric.key, text: metric.name, selected: metric.key === state.x })));
  plot.box = html("div", { class: "plot" });
  const whole = cloud.index.map((index, i) => i).filter((i) => !isStopped(i));
  const panel = html("aside", { class: "card panel", "aria-live": "polite", "aria-label": "Selected network" });
  const key = (style, text) => html("li", {}, html("span", { class: "key", style }), text);
  fill("tradeoff",
    html("h2", { text: "What accuracy costs" }),
    html("p", { class: "lead", text: hasConfirmed
      ? "Every dot is an architecture that was evaluated. A ring is where the search saw a chosen network; the solid point is where fresh, longer measurements put it. Bars are confidence intervals."
      : `Every dot is an architecture that was evaluated${run.front.length ? "; the rings are the networks of the front. Bars are confidence intervals" : ""}.` }),
    html("div", { class: "controls" }, html("label", {}, "cost", chooser),
      hasTest ? html("label", {}, "solid points at", segment("Accuracy of the chosen networks", [["test", "test"], ["validation", "validation"]], () => state.y, (value) => { state.y = value; redraw(); })) : null,
      run.front.length === 0 ? null : html("label", {}, "view", segment("Range of the plot", [["front", "front"], ["all", "everything"]], () => state.view, (value) => { state.view = value; redraw(); })),
      html("label", {}, html("input", { type: "checkbox", id: "log", on: { change: (event) => { state.log = event.target.checked; redraw(); } } }), "logarithmic")),
    html("div", { class: "split" },
      html("div", { class: "card bleed" }, plot.box,
        html("ul", { class: "legend" }, whole.some((i) => cloud.feasible[i]) ? key({ background: "var(--cool-soft)" }, "evaluated") : null, whole.some((i) => !cloud.feasible[i]) ? key({ background: "var(--faint)" }, "infeasible") : null,
          whole.length < cloud.index.length ? key({ background: "var(--cool-soft)", opacity: "0.45" }, "stopped early: rough values") : null,
          run.front.length ? key({ background: "var(--surface)", boxShadow: "inset 0 0 0 2px var(--cool)" }, "front, as searched") : null,
          hasConfirmed || hasTest ? key({ background: "var(--accent)" }, "front, confirmed") : null,
          run.front.some((net) => !net.feasible) ? key({ background: "var(--surface)", boxShadow: "inset 0 0 0 2px var(--bad)" }, "did not hold when confirmed") : null,
          run.baselines.length ? key({ background: "var(--other)" }, run.baselines.some((entry) => entry.accuracy) ? "other network" : "published network: its latency; it was not trained here") : null,
          html("li", { class: "muted", id: "plot-note" }))), panel));
  responsive(plot.box, drawPlot);
  drawPanel(panel);
  onSelect(() => { redraw(); drawPanel(panel); });
}
