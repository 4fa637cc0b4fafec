// How well the supernet ranks: the accuracy that networks inherit against the one that they reach alone.

const ranking = data.ranking;
const points = (value) => `${value >= 0 ? "+" : "−"}${(100 * Math.abs(value)).toFixed(2)} points`;

/** Ranks by falling value, from 1; equal values share the better one. */
const ranksOf = (values) => values.map((value) => 1 + values.filter((other) => other > value).length);

function subnetTip(i) {
  const { macs, inherited, retrained, description } = ranking.subnets[i];
  return [`subnet ${i + 1}: ${count(macs)} MACs`, `inherited ${accuracyText(inherited.top1, inherited.standard_error)}`, `retrained ${accuracyText(retrained.top1, retrained.standard_error)}`, `gap ${points(retrained.top1 - inherited.top1)}`, description];
}

/** Emphasises a subnet in both charts. */
function showSubnet(i) {
  for (const node of document.querySelectorAll("#ranking [data-subnet]")) node.classList.toggle("on", node.dataset.subnet === String(i));
}

function subnetMark(i, attributes, ...children) {
  const at = (event) => { showSubnet(i); const box = event.currentTarget.getBoundingClientRect(); showTip(subnetTip(i), event.clientX || box.right, event.clientY || box.bottom); };
  const leave = () => { showSubnet(-1); hideTip(); };
  return svg("g", { ...attributes, "data-subnet": i, tabindex: "0", role: "img", "aria-label": subnetTip(i).join(", "), on: { pointermove: at, pointerleave: leave, focus: at, blur: leave } }, children);
}

function drawAgainst(box, width) {
  const height = Math.min(460, Math.max(300, width * 0.8));
  const ends = (key) => ranking.subnets.flatMap((subnet) => [subnet[key].top1 - 1.96 * subnet[key].standard_error, subnet[key].top1 + 1.96 * subnet[key].standard_error]);
  const range = (values) => { const low = Math.min(...values); const high = Math.max(...values); const margin = (high - low) * 0.06 || 0.01; return [low - margin, high + margin]; };
  const [left, right] = range(ends("inherited"));
  const [bottom, top] = range(ends("retrained"));
  const digits = Math.min(right - left, top - bottom) < 0.04 ? 1 : 0;
  const frame = { left: 58, right: width - 14, top: 12, bottom: height - 44 };
  const x = scale(left, right, frame.left, frame.right, false);
  const y = scale(bottom, top, frame.bottom, frame.top, false);
  const axis = [
    ...ticks(bottom, top, 6).map((tick) => [svg("line", { class: "gridline", x1: frame.left, x2: frame.right, y1: y(tick), y2: y(tick) }), svg("text", { x: frame.left - 6, y: y(tick) + 4, "text-anchor": "end", text: percent(tick, digits) })]),
    ...ticks(left, right, width / 90).map((tick) => [svg("line", { class: "gridline", x1: x(tick), x2: x(tick), y1: frame.top, y2: frame.bottom }), svg("text", { x: x(tick), y: frame.bottom + 17, "text-anchor": "middle", text: percent(tick, digits) })]),
    svg("text", { class: "axis-title", x: frame.right, y: height - 6, "text-anchor": "end", text: "inherited from the supernet" }),
    svg("text", { class: "axis-title", x: frame.left + 6, y: frame.top + 4, text: "retrained alone" }),
  ];
  const from = Math.max(left, bottom);
  const to = Math.min(right, top);
  const equal = from < to ? [svg("line", { class: "equal", x1: x(from), y1: y(from), x2: x(to), y2: y(to) })] : [];
  const marks = ranking.subnets.map((subnet, i) => {
    const { inherited: a, retrained: b } = subnet;
    const [cx, cy] = [x(a.top1), y(b.top1)];
    return subnetMark(i, { class: "mark subnet" },
      svg("line", { class: "err", x1: x(a.top1 - 1.96 * a.standard_error), x2: x(a.top1 + 1.96 * a.standard_error), y1: cy, y2: cy }),
      svg("line", { class: "err", x1: cx, x2: cx, y1: y(b.top1 - 1.96 * b.standard_error), y2: y(b.top1 + 1.96 * b.standard_error) }),
      svg("circle", { class: "confirmed", cx, cy, r: 5.5 }), svg("circle", { class: "ring", cx, cy, r: 9 }),
      svg("text", { class: "net-label", x: cx + 8, y: cy - 7, text: String(i + 1) }));
  });
  box.replaceChildren(svg("svg", { width, height, viewBox: `0 0 ${width} ${height}`, role: "group", "aria-label": `Inherited against retrained accuracy of ${plural(marks.length, "subnet")}` }, axis, equal, marks));
}

/** One line a subnet from its rank by inherited accuracy to that by retrained accuracy. */
function drawRanks(box, width) {
  const before = ranksOf(ranking.subnets.map((subnet) => subnet.inherited.top1));
  const after = ranksOf(ranking.subnets.map((subnet) => subnet.retrained.top1));
  const rows = ranking.subnets.length;
  const height = 40 + rows * Math.min(30, Math.max(16, 420 / rows));
  const frame = { left: 84, right: width - 84, top: 34, bottom: height - 12 };
  const y = scale(1, Math.max(2, rows), frame.top, frame.bottom, false);
  // Those that share a rank share a place; their numbers stand side by side.
  const labelled = (ranks, side) => [...new Set(ranks)].map((rank) => {
    const text = ranks.map((value, i) => (value === rank ? i + 1 : 0)).filter(Boolean).join(", ");
    return svg("text", { class: "rank-label", x: side < 0 ? frame.left - 10 : frame.right + 10, y: y(rank) + 4, "text-anchor": side < 0 ? "end" : "start", text });
  });
  const lines = ranking.subnets.map((subnet, i) => {
    const moved = Math.abs(after[i] - before[i]);
    const path = `M${frame.left} ${y(before[i])}L${frame.right} ${y(after[i])}`;
    return subnetMark(i, { class: "mark rank" }, svg("path", { class: "hit-line", d: path }), svg("path", { class: `rankline${moved >= Math.max(2, rows / 6) ? " far" : ""}`, d: path }),
      svg("circle", { class: "confirmed", cx: frame.left, cy: y(before[i]), r: 4 }), svg("circle", { class: "confirmed", cx: frame.right, cy: y(after[i]), r: 4 }));
  });
  const heads = [svg("text", { class: "axis-title", x: frame.left, y: 14, "text-anchor": "middle", text: "by inherited" }), svg("text", { class: "axis-title", x: frame.right, y: 14, "text-anchor": "middle", text: "by retrained" })];
  box.replaceChildren(svg("svg", { width, height, viewBox: `0 0 ${width} ${height}`, role: "group", "aria-label": "Ranks by inherited and by retrained accuracy" }, heads, lines, labelled(before, -1), labelled(after, 1)));
}

function rankingTable() {
  const names = ["subnet", "MACs", "parameters", "inherited", "retrained", "gap", ""];
  const rows = ranking.subnets.map((subnet, i) => html("tr", { class: "subnet-row" }, [String(i + 1), count(subnet.macs), count(subnet.params), accuracyText(subnet.inherited.top1, subnet.inherited.standard_error), accuracyText(subnet.retrained.top1, subnet.retrained.standard_error), points(subnet.retrained.top1 - subnet.inherited.top1), subnet.description].map((text, c) => html("td", { class: c === 6 ? "left wraps muted small" : null, text }))));
  return html("details", {}, html("summary", { text: "The subnets in numbers" }), scrolled(html("table", {}, html("thead", {}, html("tr", {}, names.map((text) => html("th", { text })))), html("tbody", {}, rows))));
}

function rankingSentences() {
  const r = ranking.result;
  const interval = `${percent(r.level, 0)} interval ${r.kendall_low.toFixed(2)} to ${r.kendall_high.toFixed(2)}`;
  return [
    `${plural(ranking.subnets.length, "subnet")}, spread over the space by their size, were also trained alone from random weights for ${plural(ranking.epochs, "epoch")} (the supernet: ${ranking.supernet_epochs}). Kendall's tau of the two accuracies is ${r.kendall.toFixed(2)} (${interval}, bootstrap over the subnets), Spearman's coefficient ${r.spearman.toFixed(2)}; MACs alone order them with tau ${r.macs_kendall.toFixed(2)}.`,
    `Of ${plural(r.pairs, "pair")}, ${r.reversed_pairs} ${r.reversed_pairs === 1 ? "is" : "are"} reversed when trained alone, and ${r.undecided_pairs} ${r.undecided_pairs === 1 ? "is" : "are"} closer than the standard errors tell apart. Trained alone they reach ${points(r.mean_gap)} on average against what they inherit (standard error ${(100 * r.gap_error).toFixed(2)}). Picking the best by inherited accuracy within a limit of MACs loses ${(100 * r.mean_loss).toFixed(2)} points on average, ${(100 * r.worst_loss).toFixed(2)} at most.`,
  ];
}

function drawRanking() {
  if (!ranking || !ranking.result) return;
  const against = html("div", { class: "plot" });
  const ranks = html("div", { class: "plot" });
  fill("ranking", html("h2", { text: "Does the supernet rank well?" }), html("p", { class: "lead" }, html("b", { text: data.ranking_advice })), rankingSentences().map((text) => html("p", { class: "lead", text })),
    html("div", { class: "grid g2" },
      html("div", { class: "card" }, html("h3", { text: "Inherited against retrained accuracy" }), against, html("p", { class: "small muted", text: "Numbered by rising MACs. On the validation split, with 95 % intervals of the images. On the dashed line both are equal." })),
      html("div", { class: "card" }, html("h3", { text: "Ranks" }), ranks, html("p", { class: "small muted", text: "Where lines cross, inherited accuracy would choose the worse network. Those that move far are red." }))),
    html("div", { class: "card", style: { marginTop: "16px" } }, rankingTable()));
  responsive(against, (width) => drawAgainst(against, width));
  responsive(ranks, (width) => drawRanks(ranks, width));
}
