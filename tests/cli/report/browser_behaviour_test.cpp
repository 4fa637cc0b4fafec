// The report in a real browser: how it answers to its reader, to small screens, to hostile names
// and to many candidates.

#include <doctest/doctest.h>

#include <string>

#include "tests/cli/report/drawn_report.h"

namespace lathe::report {

TEST_CASE("the report fits the width of a telephone and of a desktop") {
  support::SampleOptions options;
  options.devices = {"local", "pi4"};
  options.racing = options.learned = true;
  RunSummary summary = support::sample_summary(options);
  summary.name = std::string(200, 'x');
  summary.command = std::string(300, 'y');
  const std::string page = html_text(html_report(summary));
  for (const int width : {360, 700, 1400}) {
    const std::string document = support::document_after_scripts(
        "<!doctype html><iframe width='" + std::to_string(width) +
        "' height='900' style='border:0' srcdoc=\"" + page +
        "\"></iframe><script>addEventListener('load', () => {"
        "const inner = document.querySelector('iframe').contentDocument.documentElement;"
        "const root = document.documentElement;"
        "root.setAttribute('data-ready', inner.dataset.ready);"
        "root.setAttribute('data-width', inner.clientWidth);"
        "root.setAttribute('data-beyond', inner.scrollWidth - inner.clientWidth);"
        "document.querySelector('iframe').remove(); });</script>");
    CHECK(attribute(document, "data-ready") == "true");
    CHECK(number(document, "data-width") + 20 > static_cast<size_t>(width));
    CHECK_MESSAGE(attribute(document, "data-beyond") == "0", width);
  }
}

TEST_CASE("the report answers to pointer and keyboard") {
  const RunSummary summary = support::sample_summary();
  const std::string document = draw_and_run(summary, R"(
    const heads = [...document.querySelectorAll('#front-table thead button')];
    const first = () => document.querySelector('#front-table tbody tr').dataset.row;
    const latency = heads.find((head) => head.textContent === 'local, ms');
    latency.click(); say('ascending', first());
    latency.click(); say('descending', first());
    say('sort', latency.closest('th').getAttribute('aria-sort'));
    document.querySelector('#front-table tr[data-row="4"]').click();
    say('panel', document.querySelector('.panel h3').textContent);
    say('chosen', document.querySelectorAll('.mark.on').length + ',' + document.querySelector('.mark.on').dataset.net);
    const mark = document.querySelector('.mark[data-net="4"]');
    mark.focus();
    say('tip', document.getElementById('tip').textContent.slice(0, 6));
    mark.dispatchEvent(new KeyboardEvent('keydown', {key: 'ArrowRight', bubbles: true}));
    const next = document.activeElement;
    say('next', next.dataset.net !== '4' && next.classList.contains('mark'));
    next.dispatchEvent(new KeyboardEvent('keydown', {key: 'Enter', bubbles: true}));
    say('entered', document.querySelector('.mark.on').dataset.net === next.dataset.net);
    [...document.querySelectorAll('.seg button')].find((b) => b.textContent === 'everything').click();
    say('everything', document.getElementById('pareto').dataset.points + ' ' + document.getElementById('pareto').dataset.outside);
    const box = document.querySelector('.plot').getBoundingClientRect();
    const dot = document.querySelector('.dots.bad').getAttribute('d').match(/M([0-9.]+) ([0-9.]+)h0/);
    const at = {clientX: box.left + Number(dot[1]), clientY: box.top + Number(dot[2]), bubbles: true};
    document.getElementById('pareto').dispatchEvent(new MouseEvent('click', at));
    say('candidate', document.querySelector('.panel h3').textContent.startsWith('candidate '));
    document.getElementById('log').click();
    say('log', document.getElementById('pareto').textContent.includes('(logarithmic)'));
    root.dataset.theme = 'light';
    document.getElementById('theme').click();
    say('theme', root.dataset.theme);)");
  CHECK(attribute(document, "data-said-ascending") == "6");  // 0.333 ms
  CHECK(attribute(document, "data-said-descending") == "0");
  CHECK(attribute(document, "data-said-sort") == "descending");
  CHECK(attribute(document, "data-said-panel") == summary.front[4].id);
  CHECK(attribute(document, "data-said-chosen") == "1,4");
  CHECK(attribute(document, "data-said-tip") == summary.front[4].id);
  CHECK(attribute(document, "data-said-next") == "true");
  CHECK(attribute(document, "data-said-entered") == "true");
  CHECK(attribute(document, "data-said-everything") == "390 0");
  CHECK(attribute(document, "data-said-candidate") == "true");
  CHECK(attribute(document, "data-said-log") == "true");
  CHECK(attribute(document, "data-said-theme") == "dark");
}

TEST_CASE("the report runs no script that comes in a name, and its policy stops any other") {
  RunSummary summary = support::sample_summary();
  const std::string attack =
      "</script><img src=x onerror=\"document.documentElement.dataset.pwned=1\">"
      "<script>document.documentElement.dataset.pwned=2</script>";
  summary.name = summary.config = summary.command = summary.data.dataset = attack;
  summary.warnings = {attack};
  summary.data.classes[0] = summary.machine.cpu_model = summary.devices[0].agents[0].model = attack;
  summary.search.constraints[0].text = summary.search.candidates[0].description = attack;
  summary.search.candidates[0].failures = {{attack, attack, attack}};
  summary.baselines[0].name = attack;
  FrontNetwork& network = summary.front[0];
  network.id = network.architecture = network.description = network.roles[0] = attack;
  network.blocks[0].stage = network.blocks[0].family = network.blocks[0].activation = attack;
  network.files[0].path = "javascript:document.documentElement.dataset.pwned=3";
  const std::string document = draw(summary);
  CHECK_FALSE(contains(document, "data-pwned"));
  CHECK_FALSE(contains(document, "<img"));
  CHECK_FALSE(contains(document, "href=\"javascript"));
  CHECK(contains(document, "&lt;img src=x onerror="));

  std::string page = html_report(support::sample_summary());
  page.insert(page.rfind("</body>"), "<script>document.documentElement.dataset.pwned=4</script>");
  CHECK_FALSE(contains(drawn(support::document_after_scripts(page)), "data-pwned"));
}

TEST_CASE("the report stays small in elements with 20,000 candidates") {
  support::SampleOptions options;
  options.candidates = 20000;
  const std::string document = draw(support::sample_summary(options));
  CHECK(number(document, "data-points") + number(document, "data-outside") +
            number(document, "data-missing") ==
        20000);
  CHECK(dots(document) == number(document, "data-points"));
  CHECK(dots(document) > 8000);
  CHECK(count_of(document, "</") < 3000);
}

}  // namespace lathe::report
