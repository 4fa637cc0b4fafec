// Conditions of measurement, the run itself, and how to repeat it.

function facts(entries) {
  const list = html("dl", { class: "facts" });
  for (const [name, value] of entries) pair(list, name, value);
  return list;
}

function verdictBar(verdicts) {
  const entries = Object.entries(verdicts).filter(([, times]) => times > 0).sort((a, b) => b[1] - a[1]);
  const total = entries.reduce((sum, [, times]) => sum + times, 0);
  if (total === 0) return null;
  const style = (name) => (["clean", "disturbed", "unsteady", "throttled", "invalid_timing"].includes(name) ? `c-${name}` : "st5");
  return [html("div", { class: "stack", role: "img", "aria-label": "Verdicts of the measurements" }, entries.map(([name, times]) => html("i", { class: style(name), style: { flexGrow: String(times) } }))),
    html("ul", { class: "legend" }, entries.map(([name, times]) => html("li", {}, html("span", { class: `key sq ${style(name)}` }), `${name.replace("_", " ")} ${times.toLocaleString("en")}`)))];
}

function deviceCard(device) {
  const agents = device.agents.map((agent) => facts([
    ["board", [agent.model, agent.soc].filter(Boolean).join(", ")], ["agent", `${agent.address}${agent.hostname ? ` (${agent.hostname})` : ""}, version ${agent.agent_version}`],
    ["kernel", agent.kernel], ["cores", agent.usable_cores || null], ["memory", agent.memory_bytes ? bytes(agent.memory_bytes) : null], ["fingerprint", agent.fingerprint], ["timing", agent.emulated ? "emulated: not a real board's" : null]]));
  const now = device.conditions;
  const conditions = isReplay(device) ? facts([["latencies", "replayed"], ...(now ? Object.entries(now.extra) : []), ["board time", duration(device.board_seconds)]]) : facts([
    ["engine", `${device.engine} ${device.engine_version}`.trim()], ["precision", device.precision], ["threads", device.threads], ["instructions", now && now.isa],
    ["governor", now && now.governor], ["frequency", now && known(now.frequency_hz) ? `${(now.frequency_hz / 1e9).toFixed(2)} GHz` : null], ["temperature", now && known(now.temperature_c) ? `${now.temperature_c.toFixed(1)} °C` : null],
    ...(now ? Object.entries(now.extra) : []),
    ["stop rule", device.target_half_width ? `interval within ±${percent(device.target_half_width)} of the median` : null], ["board time", duration(device.board_seconds)], ["reused", device.reused ? plural(device.reused, "earlier measurement") : null]]);
  const advice = [...new Set(device.agents.flatMap((agent) => agent.advice))];
  return html("div", { class: "card" }, html("h3", { text: `${device.name}${device.shares_host ? " – this machine" : ""}` }), verdictBar(device.verdicts), html("div", { class: "two-up" }, conditions, agents),
    advice.length ? html("ul", { class: "advice" }, advice.map((text) => html("li", { text }))) : null);
}

function drawMeasurement() {
  if (run.devices.length === 0) return;
  const replayed = run.devices.every(isReplay);
  fill("measurement", html("h2", { text: "Conditions of measurement" }),
    html("p", { class: "lead", text: replayed ? "Nothing was measured: the latencies are a table's, with noise as of a board where the configuration asks for it." : "A latency holds for this board, engine, thread count and clock, and for no others." }),
    html("div", { class: "grid g2" }, run.devices.map(deviceCard)));
}

function stageTable() {
  const total = run.stages.reduce((sum, stage) => sum + stage.seconds, 0);
  const bar = html("div", { class: "stack" }, run.stages.map((stage, i) => html("i", { class: `st${i % 6}`, style: { flexGrow: String(Math.max(stage.seconds, total * 0.002)) } })));
  const rows = run.stages.map((stage, i) => html("tr", {}, html("td", {}, html("span", { class: `key sq st${i % 6}`, style: { marginRight: "9px" } }), stage.name, stage.resumed ? html("span", { class: "muted small", text: "  resumed" }) : null), html("td", { text: duration(stage.seconds) }), html("td", { text: bytes(stage.peak_memory_bytes) })));
  const peak = Math.max(0, ...run.stages.map((stage) => stage.peak_memory_bytes));
  rows.push(html("tr", {}, html("td", {}, html("b", { text: "all" })), html("td", {}, html("b", { text: duration(total) })), html("td", {}, html("b", { text: bytes(peak) }))));
  return html("div", { class: "card" }, html("h3", { text: "Stages" }), bar, scrolled(html("table", {}, html("thead", {}, html("tr", {}, ["stage", "wall time", "peak memory"].map((text) => html("th", { text })))), html("tbody", {}, rows))));
}

function testSentence() {
  const { test_reads: reads, test_opened_at: opened } = run.data;
  if (reads === 0) return "The test split was not opened.";
  const when = opened ? ` (${moment(opened)})` : "";
  return reads === 1 ? `The test split was opened once, after the search${when}.` : `The test split was opened ${reads} times${when}.`;
}

function dataCard() {
  const rows = run.data.splits.map((split) => html("tr", {}, html("td", { text: split.name }), html("td", { text: split.images.toLocaleString("en") }), html("td", {}, html("code", { class: "muted", title: split.hash, text: split.hash.slice(0, 16) }))));
  const shape = run.data.height ? `${run.data.preprocessing.channels} × ${run.data.height} × ${run.data.width}` : null;
  return html("div", { class: "card" }, html("h3", { text: "Data" }),
    scrolled(html("table", {}, html("thead", {}, html("tr", {}, ["split", "images", "hash"].map((text) => html("th", { text })))), html("tbody", {}, rows))),
    html("p", { class: "small", text: testSentence() }), facts([["data set", run.data.dataset], ["images", shape], ["classes", run.data.classes.join(", ")]]));
}

function drawRun() {
  const { machine } = run;
  if (run.stages.length === 0 && !run.data.dataset) return;
  fill("run", html("h2", { text: "The run" }),
    html("p", { class: "lead", text: [machine.cpu_model, machine.cores ? plural(machine.cores, "core") : "", machine.memory_bytes ? `${bytes(machine.memory_bytes)} of memory` : ""].filter(Boolean).join(", ") }),
    html("div", { class: "grid g2" }, run.stages.length ? stageTable() : null, run.data.dataset ? dataCard() : null));
}

function copyButton(text) {
  const button = html("button", { type: "button", class: "quiet", text: "copy", on: { click: () => {
    if (!navigator.clipboard) { button.textContent = "not available"; return; }
    navigator.clipboard.writeText(text).then(() => { button.textContent = "copied"; }, () => { button.textContent = "not allowed"; });
  } } });
  return button;
}

function drawRepeat() {
  const { space } = run;
  fill("repeat", html("h2", { text: "Repeat it" }), html("div", { class: "card" },
    run.command ? html("div", { class: "cmd" }, html("pre", { text: run.command }), copyButton(run.command)) : null,
    facts([["seed", data.seed], ["lathe", run.lathe_version], ["configuration", run.config_path], ["strategy", run.search.strategy], ["accuracies", run.data.table],
      ["search space", space.name ? `${space.name}: ${space.count} architectures, ${count(space.smallest_macs)} to ${count(space.largest_macs)} MACs` : null], ["started", run.started_at && moment(run.started_at)], ["finished", run.finished_at && moment(run.finished_at)]]),
    run.config ? html("details", {}, html("summary", { text: "Configuration as it was run" }), html("pre", { text: run.config })) : null));
  fill("footer", `Written by lathe${run.lathe_version ? ` ${run.lathe_version}` : ""}. The same in numbers: summary.json beside this file.`);
}

function drawNavigation() {
  const names = { tradeoff: "Trade-off", front: "Front", blocks: "Blocks", held: "Held?", search: "Search", scaling: "Scaling", ranking: "Ranking", measurement: "Measurement", run: "Run", repeat: "Repeat" };
  fill("nav", Object.entries(names).filter(([id]) => document.getElementById(id).children.length > 0).map(([id, text]) => html("a", { href: `#${id}`, text })));
}

function startTheme() {
  const root = document.documentElement;
  const dark = () => (root.dataset.theme ? root.dataset.theme === "dark" : window.matchMedia("(prefers-color-scheme: dark)").matches);
  document.getElementById("theme").addEventListener("click", () => { root.dataset.theme = dark() ? "light" : "dark"; });
}
