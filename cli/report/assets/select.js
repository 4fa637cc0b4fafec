// Selection of a network or candidate, shared by the plot, the table, the cards and the strips.

const listeners = [];
function onSelect(listener) { listeners.push(listener); }
function select(selected) {
  state.selected = selected;
  for (const listener of listeners) listener();
}
const isNet = (i) => Boolean(state.selected) && state.selected.net === i;

/** Returns the file's link; only plain relative paths become links. */
function fileLink(file) {
  const label = `${file.path.split("/").pop()}`;
  const plain = /^[A-Za-z0-9_][A-Za-z0-9_.\/-]*$/.test(file.path) && !file.path.includes("..");
  return html("li", {}, plain ? html("a", { href: file.path, text: label }) : label, html("span", { class: "muted", text: `  ${bytes(file.size_bytes)}` }));
}

function interval(values, format) {
  return `${format(values[0])} [${figure(values[1])}, ${figure(values[2])}]`;
}

function netLines(net, i) {
  const lines = [`${net.id}${net.roles.length ? ` · ${net.roles.join(", ")}` : ""}`];
  if (net.test) lines.push(`test ${accuracyText(net.test.top1, net.test.standard_error)}`);
  lines.push(`${searchedAccuracy} ${accuracyText(net.validation.top1, net.validation.standard_error)}`);
  for (const entry of net.latencies) {
    for (const phase of ["searched", "confirmed"]) {
      if (!entry[phase]) continue;
      lines.push(`${entry.device}: ${phase} ${interval(triple(entry[phase]), ms)}`);
      if (entry[phase].energy) lines.push(`${entry.device}: ${phase} ${interval(energyTriple(entry[phase]), millijoules)}`);
    }
  }
  lines.push(`${count(net.macs)} MACs, ${count(net.params)} params`);
  return lines;
}

function candidateLines(i) {
  const lines = [`candidate ${cloud.index[i]}${cloud.feasible[i] || isStopped(i) ? "" : " · infeasible"}`];
  if (isStopped(i)) lines.push(stoppedText(i));
  if (cloud.top1[i] !== null) lines.push(`${searchedAccuracy} ${accuracyText(cloud.top1[i], cloud.standard_error[i])}`);
  for (const metric of metrics) {
    const values = metric.device === undefined ? null : metric.candidate(i);
    if (values) lines.push(`${metric.device}: ${interval(values, metric.format)}`);
  }
  lines.push(`${count(cloud.macs[i])} MACs, ${count(cloud.params[i])} params`);
  if (cloud.failure[i]) lines.push(cloud.failure[i]);
  if (cloud.description[i]) lines.push(cloud.description[i]);
  return lines;
}

function pair(list, name, value) {
  if (value !== null && value !== undefined && value !== "") list.append(html("dt", { text: name }), html("dd", { text: value }));
}

function netPanel(net, i) {
  const list = html("dl");
  const accuracy = (value) => (value ? accuracyText(value.top1, value.standard_error) : null);
  pair(list, "test", accuracy(net.test));
  pair(list, searchedAccuracy, accuracy(net.validation));
  for (const entry of net.latencies) {
    const latency = entry.confirmed || entry.searched;
    if (!latency) continue;
    pair(list, `${entry.device}${entry.confirmed ? "" : ", searched"}`, ms(latency.median_ms));
    pair(list, `  ${percent(latency.level, 0)} interval`, `[${figure(latency.low_ms)}, ${figure(latency.high_ms)}]`);
    if (latency.p99_ms !== latency.median_ms) pair(list, "  p99", ms(latency.p99_ms));
    if (latency.energy) {
      pair(list, "  energy", millijoules(latency.energy.mean_mj));
      pair(list, `  ${percent(latency.level, 0)} interval`, `[${figure(latency.energy.low_mj)}, ${figure(latency.energy.high_mj)}]`);
      pair(list, "  power", `${figure(latency.energy.power_w)} W`);
    }
  }
  pair(list, "MACs", count(net.macs));
  pair(list, "parameters", count(net.params));
  if (net.peak_memory_bytes) pair(list, "peak memory", bytes(net.peak_memory_bytes));
  pair(list, "input", net.resolution ? `${net.resolution} × ${net.resolution}` : null);
  if (net.parity) pair(list, "parity", `${net.parity.max_abs_error.toExponential(1)}, top-1 ${percent(net.parity.top1_agreement, net.parity.top1_agreement === 1 ? 0 : 2)}`);
  if (!net.feasible) pair(list, "constraints", "not all satisfied");
  return [
    html("h3", { text: net.id }), html("div", { class: "roles", text: net.roles.join(", ") }), list,
    net.blocks.length ? html("div", { class: "strip" }, stripDiagram(net, 278, true)) : null,
    net.files.length ? html("ul", { class: "files" }, net.files.map(fileLink)) : html("p", { class: "muted small", text: run.data.table ? "Looked up in a table: it has no weights to export." : "Not exported." }),
  ];
}

function candidatePanel(i) {
  const list = html("dl");
  if (cloud.top1[i] !== null) pair(list, searchedAccuracy, accuracyText(cloud.top1[i], cloud.standard_error[i]));
  for (const metric of metrics) {
    const values = metric.candidate(i);
    if (values) pair(list, metric.name, metric.device === undefined ? metric.format(values[0]) : interval(values, metric.format));
  }
  pair(list, "architecture", cloud.architecture[i]);
  return [
    html("h3", { text: `candidate ${cloud.index[i]}` }),
    html("div", { class: "roles", text: isStopped(i) ? stoppedText(i) : cloud.feasible[i] ? "evaluated, not on the front shown" : "infeasible" }), list,
    cloud.description[i] ? html("p", { class: "small muted", text: cloud.description[i] }) : null,
    cloud.failure[i] ? html("p", { class: "small no", text: cloud.failure[i] }) : null,
  ];
}

function drawPanel(panel) {
  let content = html("p", { class: "muted", text: "Choose a point to see its numbers and blocks." });
  if (state.selected && state.selected.net !== undefined) content = netPanel(run.front[state.selected.net], state.selected.net);
  else if (state.selected) content = candidatePanel(state.selected.candidate);
  panel.replaceChildren(...[content].flat().filter(Boolean));
}
