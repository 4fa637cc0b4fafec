// What the search did with its evaluations: candidates that were stopped early, and models that learned from the others.

const isStopped = (i) => cloud.stopped_at[i] !== null;

/** "stopped early: values of 1,000 images and a coarse measurement" */
function stoppedText(i) {
  const images = cloud.stopped_at[i];
  const coarse = metrics.some((metric) => metric.device !== undefined && metric.candidate(i));
  return `stopped early: values of ${[images > 0 ? plural(images, "image") : "", coarse ? "a coarse measurement" : ""].filter(Boolean).join(" and ") || "a part of its evaluation"}`;
}

function racingSentence() {
  const { racing } = run.search;
  if (!racing) return "";
  if (racing.screened === 0) return " No candidate was stopped early.";
  const seconds = racing.board_seconds_saved;
  const saved = [racing.images_saved > 0 ? `${percent(racing.images_saved / (racing.images + racing.images_saved), 0)} of the validation images` : "", seconds > 0 ? `about ${duration(seconds)} of board time` : ""].filter(Boolean);
  const one = racing.screened === 1;
  const lost = seconds < 0 ? ` Coarse measurements took about ${duration(-seconds)} more board time than they saved.` : "";
  return ` ${racing.screened.toLocaleString("en")} of ${plural(cloud.index.length, "candidate")} ${one ? "was" : "were"} stopped early${saved.length ? `; that saved ${saved.join(" and ")}` : ""}.${lost}`;
}

const modelName = (name) => name.replaceAll("_", " ");

/** The one model in use, or what is averaged: "gaussian process 60 %, ridge 40 %". */
function modelsInUse(learned) {
  if (learned.models.length === 0) return "not fitted: too few evaluations";
  if (!learned.on) return "switched off: does not beat a constant";
  const used = learned.models.slice(0, -1).filter((model) => model.weight > 0).sort((a, b) => b.weight - a.weight);
  if (used.length === 1) return modelName(used[0].model);
  return used.map((model) => `${modelName(model.model)} ${percent(model.weight, 0)}`).join(", ");
}

function learnedTable() {
  const { learned } = run.search;
  if (!learned || learned.length === 0) return null;
  const names = ["metric", "model", "labels", "MAPE", "Spearman", "Kendall", "in 90 % interval"];
  const figureOf = (value) => (known(value) ? value.toFixed(2) : "–");
  const rows = learned.map((entry) => {
    const all = entry.models[entry.models.length - 1] || {};
    const shown = entry.on ? all : { labels: all.labels };
    const texts = [entry.metric, modelsInUse(entry), known(shown.labels) ? shown.labels.toLocaleString("en") : "–", percent(shown.mape), figureOf(shown.spearman), figureOf(shown.kendall), percent(shown.coverage, 0)];
    return html("tr", {}, texts.map((text, i) => html("td", { class: i === 1 ? `left wraps${entry.on ? "" : " muted"}` : null, text })));
  });
  const error = learned.some((entry) => entry.metric === "accuracy") ? " Accuracy is learned as its error, so its MAPE is of the error." : "";
  return html("div", { class: "card", id: "learned" }, html("h3", { text: "The models that the search used" }),
    scrolled(html("table", {}, html("thead", {}, html("tr", {}, names.map((text, i) => html("th", { class: i === 1 ? "left" : null, text })))), html("tbody", {}, rows))),
    html("p", { class: "small muted", text: `Held against evaluations that they did not see.${error}` }));
}
