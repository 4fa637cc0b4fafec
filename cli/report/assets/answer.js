// The first screen: the result in one sentence, the networks that stand for it, and what to know about it.

const mainMetric = () => metrics.find((metric) => run.search.objectives.includes(metric.key)) || metrics.find((metric) => metric.device !== undefined && run.front.some((net) => best(metric, net))) || metricOf("macs");

const fileSize = (net) => { const file = net.files.find((entry) => entry.format === "onnx"); return file ? file.size_bytes : net.model_size_bytes; };

/** Indices of the networks to show first: those with a role, else the most accurate and the fastest. */
function highlights() {
  const metric = mainMetric();
  const named = run.front.map((net, i) => i).filter((i) => run.front[i].roles.length > 0);
  if (named.length > 0) return named;
  const cost = (i) => { const values = best(metric, run.front[i]); return values ? values[0] : Infinity; };
  const order = run.front.map((net, i) => i);
  const accurate = order.reduce((a, b) => (accuracyOf(run.front[b]).top1 > accuracyOf(run.front[a]).top1 ? b : a));
  const fast = order.reduce((a, b) => (cost(b) < cost(a) ? b : a));
  return accurate === fast ? [accurate] : [accurate, fast];
}

function claim(net, metric) {
  const values = best(metric, net);
  return [html("span", { class: "fig", text: percent(accuracyOf(net).top1) }), values ? [" in ", html("span", { class: "fig", text: metric.format(values[0]) })] : null];
}

function headline() {
  if (run.front.length === 0) {
    return html("h1", { text: cloud.index.length === 0 ? "Nothing was evaluated" : "No network satisfies the constraints" });
  }
  if (winners.length === 0) return html("h1", { text: "No network held the constraints when measured again" });
  const metric = mainMetric();
  const shown = highlights().map((i) => run.front[i]);
  const cost = (net) => { const values = best(metric, net); return values ? values[0] : Infinity; };
  const accurate = shown.reduce((a, b) => (accuracyOf(b).top1 > accuracyOf(a).top1 ? b : a));
  const fast = shown.reduce((a, b) => (cost(b) < cost(a) ? b : a));
  const unit = metric.device === undefined ? " MACs" : devices.length > 1 ? html("span", { class: "or", text: ` on ${metric.device}` }) : null;
  if (accurate === fast) return html("h1", {}, claim(accurate, metric), unit);
  return html("h1", {}, claim(accurate, metric), html("span", { class: "or", text: " or " }), claim(fast, metric), unit);
}

function boardNames(device) {
  const entry = run.devices.find((candidate) => candidate.name === device);
  if (entry && isReplay(entry)) return `${device} (replayed from a table)`;
  const models = entry ? [...new Set(entry.agents.map((agent) => agent.model).filter(Boolean))] : [];
  return models.length ? `${device} (${models.join(", ")})` : device;
}

function sentence() {
  const classes = run.data.classes.length ? ` (${run.data.classes.length} classes)` : "";
  const tried = plural(cloud.index.length, "architecture");
  const possible = run.space.count ? ` of ${run.space.count.replace(/\B(?=(\d{3})+$)/g, ",")} possible` : "";
  const what = run.data.table || `${run.data.dataset}${classes}`;
  if (run.front.length === 0) return what || cloud.index.length ? `${tried} evaluated${possible} on ${what}.` : "The run has no result yet.";
  const kind = run.data.table ? `top-1 accuracy looked up in ${run.data.table},` : hasTest ? "top-1 accuracy on the test split, which the search cannot read," : "top-1 accuracy on the validation split (the test split was not read)";
  const broken = run.front.filter((net) => !net.feasible).length;
  const where = devices.length ? ` and latency of one image on ${devices.map(boardNames).join(" and ")}` : "";
  return `Figures are ${kind}${where}. ${plural(winners.length, "network")} of the Pareto front${run.data.table ? "" : ` for ${what}`}, from ${tried} evaluated${possible}${broken ? `; ${broken} more did not hold when measured again` : ""}.`;
}

function card(i) {
  const net = run.front[i];
  const accuracy = accuracyOf(net);
  const facts = net.latencies.map((entry) => {
    const latency = entry.confirmed || entry.searched;
    if (!latency) return null;
    return html("span", { class: "fact" }, html("span", { class: "lat", text: ms(latency.median_ms) }),
      html("small", { text: ` [${figure(latency.low_ms)}, ${figure(latency.high_ms)}] on ${entry.device}${entry.confirmed ? "" : ", not confirmed"}` }));
  });
  const size = fileSize(net);
  const error = accuracy.standard_error > 0 ? ` ± ${percent(accuracy.standard_error, 2)}` : "";
  const role = net.roles.join(", ") || (accuracy.top1 === Math.max(...run.front.map((other) => accuracyOf(other).top1)) ? "most accurate" : "fastest");
  return html("button", { class: "card pick", type: "button", on: { click: () => { select({ net: i }); document.getElementById("tradeoff").scrollIntoView(); } } },
    html("span", { class: "id", text: net.id }), html("span", { class: "role", text: role }),
    html("span", { class: "big" }, percent(accuracy.top1), html("small", { text: `${error} ${net.test ? "test" : searchedAccuracy}` })),
    facts, html("span", { class: "rest", text: [`${count(net.macs)} MACs`, `${count(net.params)} parameters`, size ? bytes(size) : "", net.feasible ? "" : "breaks a constraint"].filter(Boolean).join(" · ") }));
}

function meets(bound, values) {
  if (!values) return null;
  return bound.at_most ? values[2] <= bound.bound : values[1] >= bound.bound;
}
function boundValues(bound, net) {
  if (bound.metric === "accuracy") return [net.validation.top1, net.validation.top1, net.validation.top1];
  const metric = metricOf(bound.metric);
  return metric ? best(metric, net) : null;
}

function chips() {
  return run.search.constraints.map((bound) => {
    const held = run.front.map((net) => meets(bound, boundValues(bound, net)));
    const broken = held.filter((value) => value === false).length;
    const verdict = run.front.length === 0 || held.includes(null) ? null : broken === 0 ? html("span", { class: "ok", text: "  ✓ held by all" }) : html("span", { class: "no", text: `  ✗ broken by ${broken}` });
    return html("li", { class: "chip" }, html("b", { text: bound.text }), verdict);
  });
}

/** Without a front: the candidate that misses the constraints by the least. */
function nearest() {
  let found = -1;
  let least = Infinity;
  for (let i = 0; i < cloud.index.length; i += 1) {
    const misses = run.search.constraints.map((bound) => candidateMiss(bound, i));
    const total = misses.reduce((sum, miss) => sum + miss, 0);
    if (total < least) { least = total; found = i; }
  }
  if (found < 0) return null;
  return html("div", { class: "card" }, html("h3", { text: "The nearest candidate" }), candidateLines(found).map((line) => html("div", { class: "small", text: line })),
    html("ul", { class: "advice" }, run.search.constraints.filter((bound) => candidateMiss(bound, found) > 0).map((bound) => html("li", { text: `misses ${bound.text} by ${percent(candidateMiss(bound, found), 1)} of the bound` }))));
}
function candidateMiss(bound, i) {
  const metric = metricOf(bound.metric);
  const values = bound.metric === "accuracy" ? (cloud.top1[i] === null ? null : [cloud.top1[i], cloud.top1[i], cloud.top1[i]]) : metric && metric.candidate(i);
  if (!values) return Infinity;
  const excess = bound.at_most ? values[2] - bound.bound : bound.bound - values[1];
  return Math.max(0, excess) / (Math.abs(bound.bound) || 1);
}

function drawAnswer() {
  const when = run.finished_at ? ` · ${moment(run.finished_at)}` : "";
  const emulated = run.devices.some((device) => device.agents.some((agent) => agent.emulated));
  const warnings = [...run.warnings];
  if (emulated) warnings.unshift("A device is emulated: its latency is not that of a real board.");
  fill("answer",
    html("p", { class: "eyebrow", text: `${run.name}${when}` }), headline(), html("p", { class: "lead", text: sentence() }),
    run.search.constraints.length ? html("ul", { class: "chips", "aria-label": "Constraints" }, chips()) : null,
    run.front.length ? html("div", { class: "grid g3" }, highlights().map(card)) : nearest(),
    warnings.length ? html("div", { class: "note" }, html("b", { text: plural(warnings.length, "warning") }), html("ul", {}, warnings.map((text) => html("li", { text })))) : null);
}
