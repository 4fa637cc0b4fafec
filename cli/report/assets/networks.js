// The front as a table, the blocks of its networks, and whether searched latencies held.

const kernelClass = (kernel) => (kernel <= 1 ? 1 : kernel <= 3 ? 3 : kernel <= 5 ? 5 : 7);

function blockLines(block) {
  return [`${block.stage} · ${block.family}`, `kernel ${block.kernel}, expand ${Number(block.expand.toPrecision(3))}, stride ${block.stride}`,
    `${block.width} channels${block.activation ? `, ${block.activation}` : ""}${block.squeeze_excite ? ", squeeze-excite" : ""}`,
    `output ${block.resolution} × ${block.resolution}`, `${count(block.macs)} MACs, ${percent(block.macs_share)} of the network`];
}

/** Runs of neighbouring blocks of one stage: [{stage, from, to, resolution}]. */
function stagesOf(blocks) {
  const stages = [];
  blocks.forEach((block, i) => {
    const last = stages[stages.length - 1];
    if (last && last.stage === block.stage) { last.to = i + 1; last.resolution = block.resolution; } else stages.push({ stage: block.stage, from: i, to: i + 1, resolution: block.resolution });
  });
  return stages;
}

/** Upwards: output channels, coloured by kernel. Downwards: share of the multiply-accumulates. */
function stripDiagram(net, width, compact, widest) {
  const { blocks } = net;
  const column = compact ? Math.min(26, width / blocks.length) : Math.max(34, Math.min(64, width / blocks.length));
  const up = compact ? 34 : 62;
  const down = compact ? 18 : 30;
  const top = compact ? 2 : 32;
  const most = Math.max(widest || 0, ...blocks.map((block) => block.width)) || 1;
  const share = Math.max(0.3, ...blocks.map((block) => block.macs_share));
  const total = column * blocks.length;
  const base = top + up;
  const bars = blocks.map((block, i) => {
    const x = i * column;
    const height = Math.max(3, up * Math.sqrt(block.width / most));
    const kernel = kernelClass(block.kernel);
    const below = Math.max(0.5, (down - 2) * (block.macs_share / share));
    const label = !compact && block.expand !== 1 && height > 14 ? `×${Number(block.expand.toPrecision(2))}` : "";
    return svg("g", { on: { pointermove: (event) => showTip(blockLines(block), event.clientX, event.clientY), pointerleave: hideTip } },
      svg("rect", { class: "hit", x, y: top, width: column, height: up + down + 14 }),
      svg("rect", { class: `b${kernel} block`, x: x + 1, y: base - height, width: column - 2, height, rx: compact ? 1 : 3 }),
      label ? svg("text", { class: `in i${kernel}`, x: x + column / 2, y: base - 5, "text-anchor": "middle", text: label }) : null,
      compact ? null : svg("text", { class: "tiny", x: x + column / 2, y: base - height - 4, "text-anchor": "middle", text: String(block.width) }),
      block.squeeze_excite ? svg("rect", { class: "se", x: x + 1, y: base - height, width: column - 2, height: compact ? 2 : 3, rx: 1 }) : null,
      svg("rect", { class: "share", x: x + 1, y: base + 2, width: column - 2, height: below, rx: 1 }),
      !compact && block.macs_share >= 0.05 ? svg("text", { class: "tiny", x: x + column / 2, y: base + below + 12, "text-anchor": "middle", text: `${Math.round(100 * block.macs_share)}%` }) : null);
  });
  const heads = compact ? [] : stagesOf(blocks).map((stage) => {
    const x = stage.from * column;
    const name = (stage.to - stage.from) * column > 94 ? `${stage.stage} · ${stage.resolution}px` : stage.stage.replace(/^stage/, "s");
    const tight = stage.to === blocks.length && 6.6 * name.length > total - x; // the last name ends with the strip
    return [svg("line", { class: "baseaxis", x1: x + 2, x2: stage.to * column - 2, y1: 16, y2: 16 }), svg("text", { class: "stage", x: tight ? total - 2 : x + 2, y: 11, "text-anchor": tight ? "end" : "start", text: name })];
  });
  const height = base + down + (compact ? 2 : 12);
  return svg("svg", { width: total, height, viewBox: `0 0 ${total} ${height}`, role: "img", style: { maxWidth: compact ? "100%" : "none" }, "data-blocks": blocks.length,
    "aria-label": `Blocks of ${net.id}: ${blocks.map((block) => `${block.family} kernel ${block.kernel} width ${block.width}`).join(", ")}` }, heads, bars);
}

function drawBlocks() {
  const shown = run.front.map((net, i) => i).filter((i) => run.front[i].blocks.length > 0);
  if (shown.length === 0) return;
  const widest = Math.max(...shown.map((i) => Math.max(...run.front[i].blocks.map((block) => block.width))));
  const metric = mainMetric();
  const rows = shown.map((i) => {
    const net = run.front[i];
    const values = best(metric, net);
    const box = html("div", { class: "sx", tabindex: "0", role: "group", "aria-label": `Blocks of ${net.id}` });
    const row = html("div", { class: "card net", "data-row": i },
      html("div", { class: "who" }, html("b", { text: net.id }), net.roles.length ? html("div", { class: "tag", text: net.roles.join(", ") }) : null,
        html("div", { text: percent(accuracyOf(net).top1) }), values ? html("div", { text: metric.format(values[0]) }) : null), box);
    return { i, row, start: () => responsive(box, (width) => box.replaceChildren(stripDiagram(net, width, false, widest))) };
  });
  const key = (style, text) => html("li", {}, html("span", { class: "key sq", style: { background: style } }), text);
  fill("blocks", html("h2", { text: "What they look like" }),
    html("p", { class: "lead", text: "Each column is a block, from input to output. Its height is its number of output channels, the bar below its share of the multiply-accumulates, the figure inside its expansion." }),
    html("ul", { class: "legend", style: { marginBottom: "12px" } }, key("var(--k1)", "kernel 1"), key("var(--k3)", "kernel 3"), key("var(--k5)", "kernel 5"), key("var(--k7)", "kernel 7 and more"), key("var(--other)", "squeeze-excite"), key("var(--accent)", "share of MACs")),
    html("div", { class: `nets${Math.max(...shown.map((i) => run.front[i].blocks.length)) <= 13 ? " two" : ""}` }, rows.map((entry) => entry.row)));
  for (const entry of rows) entry.start();
  onSelect(() => { for (const entry of rows) entry.row.classList.toggle("on", isNet(entry.i)); });
}

// The table.

function columns() {
  const counted = (key, name) => { const metric = metricOf(key); const value = (net) => { const values = metric.net(net); return values && values[0]; }; return { name, value, cell: (net) => metric.format(value(net)) }; };
  const shown = (column) => run.front.some((net) => column.value(net)); // a table knows no memory and no file
  const list = [{ name: "network", text: true, value: (net) => net.id, cell: null }];
  if (hasTest) list.push({ name: "test", down: true, value: (net) => (net.test ? net.test.top1 : null), cell: (net) => (net.test ? [percent(net.test.top1, 2), html("span", { class: "iv", text: ` ±${(100 * net.test.standard_error).toFixed(2)}` })] : "–") });
  list.push({ name: searchedAccuracy, down: true, value: (net) => net.validation.top1, cell: (net) => percent(net.validation.top1, 2) });
  for (const metric of metrics.filter((entry) => entry.device !== undefined)) {
    list.push({ name: `${metric.device}, ${metric.unit}`, value: (net) => { const values = best(metric, net); return values ? values[0] : null; }, cell: (net) => latencyCell(net, metric) });
  }
  const costs = [counted("macs", "MACs"), counted("params", "params"), counted("peak_memory", "memory"), { name: "file", value: fileSize, cell: (net) => bytes(fileSize(net)) }];
  return [...list, ...costs.filter(shown)];
}
function latencyCell(net, metric) {
  const values = best(metric, net);
  if (!values) return "–";
  return [figure(values[0]), html("span", { class: "iv", text: ` [${figure(values[1])}, ${figure(values[2])}]${metric.net(net, "confirmed") ? "" : " searched"}` })];
}

function sorted(list) {
  const order = run.front.map((net, i) => i);
  if (!state.sort) return order;
  const { column, direction } = state.sort;
  const missing = (value) => value === null || value === undefined;
  return order.sort((a, b) => {
    const left = list[column].value(run.front[a]);
    const right = list[column].value(run.front[b]);
    if (missing(left) || missing(right)) return Number(missing(left)) - Number(missing(right));
    return direction * (list[column].text ? left.localeCompare(right, "en", { numeric: true }) : left - right) || a - b;
  });
}

function drawFront() {
  if (run.front.length === 0) return;
  const list = columns();
  const body = html("tbody");
  const rows = () => body.replaceChildren(...sorted(list).map((i) => {
    const net = run.front[i];
    const name = [html("button", { type: "button", text: net.id, "aria-label": `Select ${net.id}` }), net.roles.length ? html("span", { class: "tag", text: `  ${net.roles.join(", ")}` }) : null, net.feasible ? null : html("span", { class: "no small", text: "  breaks a constraint" }), isBehind(net) ? html("span", { class: "muted small", text: `  behind ${net.dominated_by}`, title: `${net.dominated_by} is as good in every objective and better in one` }) : null];
    return html("tr", { class: `row${isNet(i) ? " on" : ""}`, "data-row": i, on: { click: () => select({ net: i }) } }, list.map((column, c) => html("td", { class: c === 0 ? "idcell" : null }, c === 0 ? name : column.cell(net))));
  }));
  const heads = list.map((column, c) => html("th", { scope: "col" }, html("button", { type: "button", text: column.name, on: { click: () => {
    const first = column.down ? -1 : 1;
    state.sort = { column: c, direction: state.sort && state.sort.column === c ? -state.sort.direction : first };
    heads.forEach((head, h) => { if (h === c) head.setAttribute("aria-sort", state.sort.direction > 0 ? "ascending" : "descending"); else head.removeAttribute("aria-sort"); });
    rows();
  } } })));
  fill("front", html("h2", { text: "The Pareto front" }),
    html("p", { class: "lead", text: `Latency is the median of one inference at batch 1 with its confidence interval${metrics.some((metric) => metric.unit === "mJ") ? ", energy the mean" : ""}${hasConfirmed ? ", confirmed by fresh measurements after the search" : ""}.` }),
    html("div", { class: "card" }, scrolled(html("table", { id: "front-table" }, html("thead", {}, html("tr", {}, heads)), body))));
  const published = baselineCard();
  const steps = stepsCard();
  for (const more of [steps, published]) if (more) document.getElementById("front").append(more);
  rows();
  onSelect(() => { for (const row of body.children) row.classList.toggle("on", isNet(Number(row.dataset.row))); });
}

/** What each step of compression left of each network; the int8 network's steps include those of its fp32 one. */
function stepsCard() {
  const continued = (i) => run.front[i + 1] !== undefined && run.front[i + 1].id === `${run.front[i].id}-int8`;
  const shown = run.front.filter((net, i) => net.steps && !continued(i));
  if (shown.length === 0) return null;
  const places = metrics.filter((metric) => metric.device !== undefined && metric.unit === "ms");
  const latency = (step, metric) => { const found = step.latencies.find((entry) => entry.device === metric.device); return found ? found.latency.median_ms : null; };
  const against = (value, first, format) => [format(value), first && value ? html("span", { class: "iv", text: value === first ? "" : ` ×${(value / first).toPrecision(2)}` }) : null];
  const heads = ["network", "step", "validation", ...places.map((metric) => `${metric.device}, ms`), "MACs", "weights", "memory"];
  const rows = shown.flatMap((net) => net.steps.map((step, s) => {
    const first = net.steps[0];
    const cost = (field, format) => html("td", {}, against(step[field], first[field], format));
    return html("tr", {}, html("td", { text: s === 0 ? net.id : "" }),
      html("td", { class: "left" }, step.name, step.note ? html("span", { class: "iv", text: ` ${step.note}` }) : null),
      html("td", {}, percent(step.validation.top1, 2)),
      places.map((metric) => html("td", {}, latency(step, metric) === null ? "–" : against(latency(step, metric), latency(first, metric), figure))),
      cost("macs", count), cost("weight_bytes", bytes), cost("peak_memory_bytes", bytes));
  }));
  return html("div", { class: "card", id: "steps", style: { marginTop: "16px" } }, html("h3", { text: "What each step of compression did" }),
    html("p", { class: "small muted", text: "Accuracy on the validation split; latency confirmed by fresh measurements, in int8 where the step is; × is relative to the inherited network." }),
    scrolled(html("table", {}, html("thead", {}, html("tr", {}, heads.map((text, h) => html("th", { scope: "col", class: h === 1 ? "left" : null, text })))), html("tbody", {}, rows))));
}

function baselineCell(entry, metric) {
  const found = entry.latencies.find((place) => place.device === metric.device);
  if (!found) return html("td", { text: "–" });
  const { verdict } = found.latency;
  const [value, low, high] = metric.baseline(entry) || [];
  if (value === undefined) return html("td", { text: "–" });
  return html("td", {}, figure(value), html("span", { class: "iv", text: ` [${figure(low)}, ${figure(high)}]${verdict === "clean" ? "" : ` ${verdict}`}` }));
}

/** Published networks and the user's own with what is known of them here. */
function baselineCard() {
  if (run.baselines.length === 0) return null;
  const places = metrics.filter((metric) => metric.device !== undefined && run.baselines.some((entry) => metric.baseline(entry)));
  const trained = run.baselines.some((entry) => entry.accuracy);
  const sized = run.baselines.some((entry) => entry.size_bytes);
  const heads = ["network", ...(trained ? ["test accuracy"] : []), ...places.map((metric) => `${metric.device}, ${metric.unit}`), "MACs", "params", ...(sized ? ["size"] : [])];
  const rows = run.baselines.map((entry) => html("tr", {}, html("td", { text: entry.name }), trained ? html("td", { text: entry.accuracy ? percent(entry.accuracy.top1, 2) : "–" }) : null,
    places.map((metric) => baselineCell(entry, metric)),
    html("td", { text: count(entry.macs) }), html("td", { text: count(entry.params) }), sized ? html("td", { text: entry.size_bytes ? bytes(entry.size_bytes) : "–" }) : null));
  return html("div", { class: "card", id: "baselines", style: { marginTop: "16px" } }, html("h3", { text: "Other networks on the same devices" }),
    html("p", { class: "small muted", text: `Made for the same input and classes, measured in the same way. ${run.baselines.every((entry) => entry.accuracy) ? "" : "Published networks were not trained here, so their accuracy is unknown."}` }),
    scrolled(html("table", {}, html("thead", {}, html("tr", {}, heads.map((text) => html("th", { scope: "col", text })))), html("tbody", {}, rows))));
}

// Searched against confirmed latency.

function shifts(device) {
  return run.front.map((net) => ({ net, entry: latencyOf(net, device) })).filter(({ entry }) => entry && entry.searched && entry.confirmed && entry.searched.median_ms > 0).map(({ net, entry }) => {
    const relative = (value) => value / entry.searched.median_ms - 1;
    return { net, searched: [relative(entry.searched.low_ms), relative(entry.searched.high_ms)], confirmed: triple(entry.confirmed).map(relative), inside: entry.confirmed.median_ms >= entry.searched.low_ms && entry.confirmed.median_ms <= entry.searched.high_ms };
  });
}

function shiftChart(list, width) {
  const limit = Math.max(0.01, ...list.flatMap((row) => [...row.searched, ...row.confirmed].map(Math.abs))) * 1.1;
  const left = Math.min(120, 18 + 7 * Math.max(...list.map((row) => row.net.id.length)));
  const x = scale(-limit, limit, left, width - 24, false);
  const line = 26;
  const bottom = list.length * line + 8;
  const signed = (value) => `${value > 0 ? "+" : ""}${percent(value, limit < 0.02 ? 1 : limit < 0.3 ? 1 : 0)}`;
  const grid = ticks(-limit, limit, Math.max(5, width / 80)).map((tick) => [svg("line", { class: Math.abs(tick) < 1e-12 ? "zero" : "gridline", x1: x(tick), x2: x(tick), y1: 4, y2: bottom }), svg("text", { x: x(tick), y: bottom + 17, "text-anchor": "middle", text: signed(tick) })]);
  const rows = list.map((row, i) => {
    const y = 4 + (i + 0.5) * line;
    const lines = [row.net.id, `confirmed ${signed(row.confirmed[0])} against the search`, row.inside ? "inside the searched interval" : "outside the searched interval"];
    return svg("g", { on: { pointermove: (event) => showTip(lines, event.clientX, event.clientY), pointerleave: hideTip } },
      svg("rect", { class: "hit", x: 0, y: y - line / 2, width, height: line }), svg("text", { x: left - 10, y: y + 4, "text-anchor": "end", text: row.net.id }),
      svg("rect", { class: "band", x: x(row.searched[0]), y: y - 7, width: Math.max(1, x(row.searched[1]) - x(row.searched[0])), height: 14, rx: 3 }),
      svg("line", { class: "err", x1: x(row.confirmed[1]), x2: x(row.confirmed[2]), y1: y, y2: y }), svg("circle", { class: "confirmed", cx: x(row.confirmed[0]), cy: y, r: 5 }));
  });
  return svg("svg", { class: "held", width, height: bottom + 24, viewBox: `0 0 ${width} ${bottom + 24}`, role: "img", "aria-label": "Confirmed latency relative to searched latency" }, grid, rows);
}

function drawHeld() {
  const cards = devices.map((device) => {
    const list = shifts(device);
    if (list.length === 0) return null;
    const inside = list.filter((row) => row.inside).length;
    const middle = quantile(list.map((row) => row.confirmed[0]).sort((a, b) => a - b), 0.5);
    const box = html("div", { class: "plot" });
    return { box, list, node: html("div", { class: "card" }, html("h3", { text: boardNames(device) }),
      html("p", { class: "small muted", text: `${inside} of ${list.length} confirmed medians lie inside their searched interval; the middle shift is ${middle > 0 ? "+" : ""}${percent(middle, 2)}.` }), box) };
  }).filter(Boolean);
  if (cards.length === 0) return;
  fill("held", html("h2", { text: "Did the latencies hold?" }),
    html("p", { class: "lead", text: `The best of many noisy measurements tends to be too good. So the front was measured again, for longer${run.devices.every(isReplay) ? "" : " and in fresh processes"}. Band: the interval during the search; point: confirmed, relative to the searched median.` }),
    html("div", { class: cards.length > 1 ? "grid g2" : "grid" }, cards.map((entry) => entry.node)));
  for (const entry of cards) responsive(entry.box, (width) => entry.box.replaceChildren(shiftChart(entry.list, width)));
}
