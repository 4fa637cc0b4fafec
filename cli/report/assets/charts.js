// Line charts with a reading line that follows the pointer or the arrow keys.

/** `series`: [{name, values}], all over the same `xs`. Draws into `box` and keeps to its width. */
function lineChart(box, options) {
  responsive(box, (width) => drawLines(box, width, options));
}

function seriesRange(series, options) {
  const all = series.flatMap((line) => line.values).filter(known);
  let low = Math.min(...all);
  let high = Math.max(...all);
  if (!(high > low)) { const spread = Math.abs(low) * 0.05 || 0.5; low -= spread; high += spread; }
  const margin = (high - low) * 0.08;
  return [Math.max(options.floor === undefined ? -Infinity : options.floor, low - margin), Math.min(options.ceiling === undefined ? Infinity : options.ceiling, high + margin)];
}

function drawLines(box, width, options) {
  const { xs, series, format } = options;
  const height = 210;
  const [low, high] = seriesRange(series, options);
  const yt = ticks(low, high, 4);
  const left = 12 + 7 * Math.max(...yt.map((tick) => format(tick).length));
  const frame = { left, right: width - 14, top: 12, bottom: height - 34 };
  const x = scale(Math.min(...xs), Math.max(...xs) > Math.min(...xs) ? Math.max(...xs) : Math.min(...xs) + 1, frame.left, frame.right, false);
  const y = scale(low, high, frame.bottom, frame.top, false);
  const axis = [
    ...yt.map((tick) => [svg("line", { class: "gridline", x1: frame.left, x2: frame.right, y1: y(tick), y2: y(tick) }), svg("text", { x: frame.left - 6, y: y(tick) + 4, "text-anchor": "end", text: format(tick) })]),
    ...ticks(Math.min(...xs), Math.max(...xs), Math.min(xs.length, width / 80)).filter((tick) => !options.integral || Number.isInteger(tick)).map((tick) => svg("text", { x: x(tick), y: frame.bottom + 17, "text-anchor": "middle", text: tick.toLocaleString("en") })),
    svg("text", { x: frame.right, y: height - 3, "text-anchor": "end", text: options.xName }),
  ];
  const lines = series.map((line, s) => {
    const path = line.values.map((value, i) => (known(value) ? `${i === 0 ? "M" : "L"}${x(xs[i]).toFixed(1)} ${y(value).toFixed(1)}` : "")).join("");
    return [svg("path", { class: `line s${s}`, d: path }), xs.length <= 40 ? line.values.map((value, i) => svg("circle", { class: `f${s}`, cx: x(xs[i]), cy: y(value), r: 2.8 })) : null];
  });
  const reading = svg("line", { class: "cross", y1: frame.top, y2: frame.bottom, x1: -9, x2: -9 });
  let place = xs.length - 1;
  const read = (i, cx, cy) => {
    place = i;
    reading.setAttribute("x1", x(xs[i]));
    reading.setAttribute("x2", x(xs[i]));
    showTip([`${options.xName} ${xs[i].toLocaleString("en")}`, ...series.map((line) => `${line.name} ${(line.format || options.exact || format)(line.values[i])}`)], cx, cy);
  };
  const closest = (at) => xs.reduce((found, value, i) => (Math.abs(x(value) - at) < Math.abs(x(xs[found]) - at) ? i : found), 0);
  const leave = () => { hideTip(); reading.setAttribute("x1", -9); reading.setAttribute("x2", -9); };
  const atPlace = () => { const area = box.getBoundingClientRect(); read(place, area.left + x(xs[place]), area.top + 30); };
  const chart = svg("svg", {
    width, height, viewBox: `0 0 ${width} ${height}`, tabindex: "0", role: "img", "data-length": xs.length,
    "aria-label": `${options.title}: ${series.map((line) => `${line.name} from ${format(line.values[0])} to ${format(line.values[line.values.length - 1])}`).join(", ")}`,
    on: {
      pointermove: (event) => read(closest(event.clientX - box.getBoundingClientRect().left), event.clientX, event.clientY),
      pointerleave: leave, blur: leave, focus: atPlace,
      keydown: (event) => {
        const step = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
        if (!step) return;
        place = Math.min(xs.length - 1, Math.max(0, place + step));
        atPlace();
        event.preventDefault();
      },
    },
  }, axis, reading, lines);
  box.replaceChildren(chart);
}

function chartCard(options) {
  const box = html("div", { class: "plot" });
  const legend = options.series.length > 1 ? html("ul", { class: "legend" }, options.series.map((line, s) => html("li", {}, html("span", { class: `key ln st${s}` }), line.name))) : null;
  const node = html("div", { class: "card" }, html("h3", { text: options.title }), options.note ? html("p", { class: "small muted", text: options.note }) : null, box, legend);
  return { node, start: () => lineChart(box, options) };
}

/** Runs that train long or search many generations keep at most 2,000 points a curve. */
function thin(records) {
  const step = Math.ceil(records.length / 2000);
  return records.filter((record, i) => i % step === 0 || i === records.length - 1);
}

function failureTable() {
  const kinds = new Map();
  for (const text of cloud.failure) {
    if (!text) continue;
    const kind = text.slice(0, text.indexOf(": ") < 0 ? text.length : text.indexOf(": "));
    if (!kinds.has(kind)) kinds.set(kind, { times: 0, first: text });
    kinds.get(kind).times += 1;
  }
  if (kinds.size === 0) return null;
  const rows = [...kinds].sort((a, b) => b[1].times - a[1].times).map(([kind, entry]) => html("tr", {}, html("td", { text: kind }), html("td", { text: String(entry.times) }), html("td", { class: "left wraps message muted small", text: entry.first.slice(kind.length + 2) })));
  return html("div", { class: "card", id: "failures" }, html("h3", { text: "Candidates without a value" }),
    scrolled(html("table", {}, html("thead", {}, html("tr", {}, ["why", "candidates", "the first message"].map((text, i) => html("th", { class: i === 2 ? "left" : null, text })))), html("tbody", {}, rows))));
}

function drawSearch() {
  const training = thin(run.training);
  const generations = thin(run.search.generations);
  const charts = [];
  const epochs = training.map((record) => record.epoch);
  if (training.length > 0) {
    charts.push(chartCard({ title: "Accuracy while the supernet trained", xName: "epoch", xs: epochs, ceiling: 1, floor: 0, format: (v) => percent(v, 0), exact: (v) => percent(v, 2),
      series: [{ name: "largest network", values: training.map((r) => r.top1_largest) }, { name: "smallest network", values: training.map((r) => r.top1_smallest) }] }));
    charts.push(chartCard({ title: "Training loss", xName: "epoch", xs: epochs, floor: 0, format: (v) => String(Number(v.toPrecision(3))), exact: figure, series: [{ name: "loss", values: training.map((r) => r.loss) }] }));
  }
  if (generations.length > 0) {
    charts.push(chartCard({ title: "Hypervolume of the front", xName: "evaluations", integral: true, xs: generations.map((g) => g.evaluations), format: (v) => String(Number(v.toPrecision(4))), exact: (v) => v.toPrecision(5),
      series: [{ name: "hypervolume", values: generations.map((g) => g.hypervolume) }] }));
  }
  const failures = failureTable();
  const learned = learnedTable();
  if (charts.length === 0 && !failures && !learned && !run.search.racing) return;
  const last = run.training[run.training.length - 1];
  const trained = last ? `The supernet trained for ${plural(last.epoch, "epoch")} in ${duration(last.seconds)} (${plural(Math.round(last.images_per_s), "image")}/s). ` : "";
  const worst = ({ metric, value }) => { const known = metricOf(metric); return known ? `${known.name} ${known.format(value)}` : `${metric} ${percent(value)}`; };
  const reference = run.search.reference_point.map(worst).join(" and ");
  const searched = run.search.strategy ? `${trained ? "Then" : "The strategy"} ${run.search.strategy} evaluated ${plural(cloud.index.length, "candidate")} for ${run.search.objectives.join(" and ")}${reference ? `; the hypervolume counts from ${reference}` : ""}.` : "";
  fill("search", html("h2", { text: "How they were found" }), html("p", { class: "lead", text: trained + searched + racingSentence() }),
    html("div", { class: "grid g3" }, charts.map((chart) => chart.node)), [learned, failures].map((card) => (card ? html("div", { style: { marginTop: "16px" } }, card) : null)));
  for (const chart of charts) chart.start();
}
