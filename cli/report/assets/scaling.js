// The family of compound scaling: what was asked, what the space made of it, what it costs and is worth.

const factorsText = (f) => `${f.depth.toFixed(2)} × ${f.width.toFixed(2)} × ${f.resolution.toFixed(2)}`;

function familyNote(member) {
  if (known(member.same_as)) return `the network of phi ${member.same_as}`;
  if (!known(member.network.candidate_index)) return "not evaluated";
  return known(member.network.cost) ? "" : "failed";
}

function familyTable(scaling, costText) {
  const names = ["phi", "asked: depth × width × resolution", "realised", "predicted", scaling.fit ? "measured" : "counted", "accuracy", ""];
  const rows = scaling.family.map((member) => {
    const { asked, realised, predicted, cost, top1 } = member.network;
    return html("tr", {}, [String(member.phi), factorsText(asked), factorsText(realised), costText(predicted), costText(cost), percent(top1, 2), familyNote(member)].map((text, i) => html("td", { class: i === 6 ? "left muted small" : null, text })));
  });
  return html("div", { class: "card" }, html("h3", { text: "The family" }),
    scrolled(html("table", { id: "family" }, html("thead", {}, html("tr", {}, names.map((text) => html("th", { text })))), html("tbody", {}, rows))),
    html("p", { class: "small muted", text: "The space has few choices: each factor takes the nearest, and none is beyond the largest." }));
}

function fitSentence(scaling) {
  const { fit } = scaling;
  if (!fit) return "Multiply-accumulates are counted; the prediction is depth × width² × resolution².";
  const { depth, width, resolution } = fit.exponents;
  return `Latency goes as depth^${depth.toFixed(2)} × width^${width.toFixed(2)} × resolution^${resolution.toFixed(2)}, fitted to ${plural(fit.points, "measured network")}: R² ${fit.r_squared.toFixed(3)}, residual ${percent(fit.residual)}.`;
}

function familyCharts(scaling, costText) {
  const drawn = scaling.family.filter((member) => known(member.network.cost) && known(member.network.top1));
  if (drawn.length < 2) return [];
  const xs = drawn.map((member) => member.phi);
  const of = (field) => drawn.map((member) => member.network[field]);
  const common = { xName: "phi", integral: true, xs };
  return [
    chartCard({ ...common, title: scaling.fit ? scaling.budget_metric.replace("latency@", "Latency on ") : "Multiply-accumulates", floor: 0, format: costText, series: [{ name: scaling.fit ? "measured" : "counted", values: of("cost") }, { name: "predicted", values: of("predicted") }] }),
    chartCard({ ...common, title: "Accuracy on the validation split", ceiling: 1, floor: 0, format: (v) => percent(v, 1), exact: (v) => percent(v, 2), series: [{ name: "accuracy", values: of("top1") }] }),
  ];
}

function drawScaling() {
  const { scaling } = run.search;
  if (!scaling) return;
  const costText = scaling.budget_metric === "macs" ? count : (value) => (known(value) ? ms(value) : "–");
  const charts = familyCharts(scaling, costText);
  const outcome = scaling.family.length === 0 ? " None does: there is no family." : "";
  fill("scaling", html("h2", { text: "Scaled" }),
    html("p", { class: "lead", text: `From the architecture ${scaling.baseline}. Of ${plural(scaling.grid.length, "network")} evaluated around it, phi = 1 is the most accurate that stays within ${Number(scaling.factor.toPrecision(3))} times its cost, ${costText(scaling.budget_cost)}.${outcome} ${fitSentence(scaling)}` }),
    scaling.family.length ? familyTable(scaling, costText) : null,
    charts.length ? html("div", { class: "grid g3", style: { marginTop: "16px" } }, charts.map((chart) => chart.node)) : null);
  for (const chart of charts) chart.start();
}
