// Draws every section. The root element says how that went: data-ready, or data-error with the reason.

function report(error) { document.documentElement.dataset.error = `${document.documentElement.dataset.error || ""}${error}\n`; }
window.addEventListener("error", (event) => report(event.message));
window.addEventListener("unhandledrejection", (event) => report(event.reason));

state.x = mainMetric().key;
if (!hasTest) state.y = "validation";
if (run.front.length > 0) state.selected = { net: highlights()[0] };
startTheme();
for (const draw of [drawAnswer, drawTradeoff, drawFront, drawBlocks, drawHeld, drawSearch, drawScaling, drawRanking, drawMeasurement, drawRun, drawRepeat, drawNavigation]) {
  try {
    draw();
  } catch (error) {
    report(`${draw.name}: ${error.stack || error}`);
    document.getElementById("footer").append(html("div", { class: "note", text: `A part of this page could not be drawn: ${draw.name}: ${error}` }));
  }
}
document.documentElement.dataset.ready = "true";
