// The report in a real browser: what it draws, and that it draws without an error for every kind of
// run.

#include <doctest/doctest.h>

#include <algorithm>
#include <string>

#include "tests/cli/report/drawn_report.h"

namespace lathe::report {

TEST_CASE("the report draws every candidate, network, curve and block of a run") {
  const RunSummary summary = support::sample_summary();
  const std::string document = draw(summary);
  REQUIRE(summary.front.size() == 9);
  CHECK(dots(document) == number(document, "data-points"));
  CHECK(dots(document) > 100);
  CHECK(number(document, "data-points") + number(document, "data-outside") +
            number(document, "data-missing") ==
        400);
  CHECK(number(document, "data-missing") == 10);
  CHECK(count_of(document, " data-net=\"") == 9);
  CHECK(count_of(document, "<tr class=\"row") == 9);
  CHECK(count_of(document, "class=\"bound\"") == 1);
  CHECK(count_of(document, "class=\"frontline\"") == 1);
  CHECK(count_of(document, "class=\"baseline-line\"") == 1);  // its accuracy is unknown
  CHECK(count_of(document, " data-blocks=\"") == 9 + 1);      // and the panel's
  CHECK(count_of(document, " data-length=\"6\"") == 2);
  CHECK(count_of(document, " data-length=\"24\"") == 1);
  CHECK(contains(document, "91.2 %</span> in <span class=\"fig\">0.765 ms"));
  CHECK(contains(document, "Enforced") == false);
  CHECK(contains(document, "lathe run configs/quickstart.yaml"));
  CHECK(contains(document, "x86_64 avx512"));
  CHECK(contains(document, "The test split was opened once, after the search"));
  CHECK(contains(document, "latency@local crashed"));
}

TEST_CASE("the report draws both devices of a run and lets the reader choose") {
  support::SampleOptions options;
  options.devices = {"local", "pi4"};
  const RunSummary summary = support::sample_summary(options);
  const std::string document = draw_and_run(summary, R"(
    say('options', document.querySelectorAll('#x-metric option').length);
    const before = document.querySelector('.mark .confirmed').getAttribute('cx');
    const chooser = document.getElementById('x-metric');
    chooser.value = 'latency@pi4';
    chooser.dispatchEvent(new Event('change'));
    say('moved', before !== document.querySelector('.mark .confirmed').getAttribute('cx'));
    say('label', document.getElementById('pareto').getAttribute('aria-label'));
    chooser.value = 'macs';
    chooser.dispatchEvent(new Event('change'));
    say('marks', document.querySelectorAll('.mark').length);)");
  CHECK(attribute(document, "data-said-options") == "6");
  CHECK(attribute(document, "data-said-moved") == "true");
  CHECK(attribute(document, "data-said-label") == "Accuracy against latency on pi4");
  CHECK(attribute(document, "data-said-marks") == std::to_string(summary.front.size()));
  CHECK(contains(document, "Raspberry Pi 4 Model B Rev 1.4"));
  CHECK(contains(document, "governor ondemand: set performance for steadier latency"));
  CHECK(count_of(document, "confirmed medians lie inside") == 2);
}

TEST_CASE("the report draws the family of compound scaling, and no section without one") {
  support::SampleOptions options;
  options.scaling = true;
  RunSummary summary = support::sample_summary(options);
  const std::string document = draw(summary);
  CHECK(count_of(document, "href=\"#scaling\"") == 1);
  CHECK(contains(document,
                 "Latency goes as depth^0.81 × width^1.62 × resolution^1.93, fitted to 16 "
                 "measured networks: R² 0.987, residual 3.4 %."));
  CHECK(contains(document, "the network of phi 1"));
  CHECK(contains(document, ">not evaluated<"));
  CHECK(contains(document, ">failed<"));
  CHECK(count_of(document, " data-length=\"3\"") == 2);  // of five, those that have values
  summary.search.scaling->fit.reset();
  summary.search.scaling->budget_metric = "macs";
  summary.search.scaling->family.clear();
  CHECK(contains(draw(summary), "None does: there is no family."));
  CHECK(count_of(draw(support::sample_summary()), "href=\"#scaling\"") == 0);
}

TEST_CASE("the report shows how well the supernet ranks, only where a study has a result") {
  const RunSummary summary = support::sample_summary();
  Ranking ranking = support::sample_ranking();
  const std::string document = draw(summary, &ranking);
  CHECK(count_of(document, "href=\"#ranking\"") == 1);
  CHECK(count_of(document, "class=\"mark subnet\"") == 4);
  CHECK(count_of(document, "class=\"mark rank\"") == 4);
  CHECK(count_of(document, "class=\"equal\"") == 1);
  CHECK(count_of(document, "class=\"subnet-row\"") == 4);
  CHECK(contains(document, "Kendall's tau of the two accuracies is 0.67 (95 % interval"));
  CHECK(contains(document, "MACs alone order them with tau 0.67."));
  CHECK(contains(document, ranking_advice(*ranking.result)));
  CHECK(contains(document, "Of 6 pairs, 1 is reversed"));
  CHECK(contains(document, "loses 2.50 points on average, 10.00 at most."));
  CHECK(contains(document, "28px &lt;s1&gt; 1x mbconv"));
  ranking.result.reset();
  ranking.subnets[3].retrained.reset();
  CHECK(count_of(draw(summary, &ranking), "href=\"#ranking\"") == 0);
  CHECK(count_of(draw(summary), "href=\"#ranking\"") == 0);
}

TEST_CASE("the report tells stopped candidates from others and what stopping them saved") {
  support::SampleOptions options;
  options.racing = true;
  RunSummary summary = support::sample_summary(options);
  const auto& candidates = summary.search.candidates;
  const auto stopped = std::count_if(candidates.begin(), candidates.end(),
                                     [](const auto& each) { return *each.screened; });
  REQUIRE(stopped > 100);
  for (const FrontNetwork& network : summary.front) {
    REQUIRE_FALSE(*candidates.at(static_cast<size_t>(network.candidate_index)).screened);
  }
  const std::string document = draw_and_run(summary, R"(
    const shown = (name) => document.querySelector('.dots.' + name).getAttribute('d').split('h0').length - 1;
    [...document.querySelectorAll('.seg button')].find((b) => b.textContent === 'everything').click();
    say('stopped', shown('stopped'));
    say('all', shown('stopped') + shown('bad') + shown('good'));
    const box = document.querySelector('.plot').getBoundingClientRect();
    const places = (name) => [...document.querySelector(name).getAttribute('d').matchAll(/M([0-9.]+) ([0-9.]+)h0/g)].map((dot) => [Number(dot[1]), Number(dot[2])]);
    const all = ['stopped', 'bad', 'good'].flatMap((name) => places('.dots.' + name));
    const room = (dot) => Math.min(...all.map((other) => Math.hypot(dot[0] - other[0], dot[1] - other[1])).filter((distance) => distance > 0));
    const [x, y] = places('.dots.stopped').reduce((a, b) => (room(b) > room(a) ? b : a));
    const at = {clientX: box.left + x, clientY: box.top + y, bubbles: true};
    document.getElementById('pareto').dispatchEvent(new MouseEvent('pointermove', at));
    say('tip', document.getElementById('tip').textContent.includes('stopped early: values of 1,000 images and a coarse measurement'));
    document.getElementById('pareto').dispatchEvent(new MouseEvent('click', at));
    say('panel', document.querySelector('.panel .roles').textContent);)");
  CHECK(attribute(document, "data-said-stopped") == std::to_string(stopped));
  CHECK(attribute(document, "data-said-all") == "390");
  CHECK(attribute(document, "data-said-tip") == "true");
  CHECK(attribute(document, "data-said-panel") ==
        "stopped early: values of 1,000 images and a coarse measurement");
  CHECK(contains(document, "stopped early: rough values"));

  const auto sentence = [&](const Racing& racing) {
    summary.search.racing = racing;
    const std::string page = draw(summary);
    const size_t from = page.find(" ms. ", page.find("How they were found")) + 5;
    return page.substr(from, page.find("</p>", from) - from);
  };
  CHECK(sentence({120, 7500, 2500, 75.0}) ==
        "120 of 400 candidates were stopped early; that saved 25 % of the validation images and "
        "about 1 min 15 s of board time.");
  CHECK(sentence({1, 0, 0, 30.0}) ==
        "1 of 400 candidates was stopped early; that saved about 30.0 s of board time.");
  CHECK(sentence({12, 7500, 2500, -4.0}) ==
        "12 of 400 candidates were stopped early; that saved 25 % of the validation images. Coarse "
        "measurements took about 4.0 s more board time than they saved.");
  CHECK(sentence({0, 7500, 0, 0.0}) == "No candidate was stopped early.");
  const std::string plain = draw(support::sample_summary());
  CHECK_FALSE(contains(plain, "stopped early"));
  CHECK_FALSE(contains(plain, "The models that the search used"));
}

TEST_CASE("the report lists the models in use and says when they are switched off") {
  support::SampleOptions options;
  options.devices = {"local", "pi4"};
  options.learned = true;
  RunSummary summary = support::sample_summary(options);
  summary.search.learned->push_back({"latency@<i>", false, {}});
  LearnedMetric& local = summary.search.learned->at(1);
  local.models[0].weight = 0.0;
  local.models[1].weight = 1.0;
  const std::string document = draw_and_run(summary, R"(
    const rows = [...document.querySelectorAll('#learned tbody tr')];
    rows.forEach((row, i) => say(i, [...row.cells].map((cell) => cell.textContent).join('|')));)");
  CHECK(attribute(document, "data-said-0") ==
        "accuracy|gaussian process 75 %, ridge 25 %|320|5.2 %|0.91|0.77|91 %");
  CHECK(attribute(document, "data-said-1") == "latency@local|ridge|320|5.2 %|0.91|0.77|91 %");
  CHECK(attribute(document, "data-said-2") ==
        "latency@pi4|switched off: does not beat a constant|320|–|–|–|–");
  CHECK(attribute(document, "data-said-3") ==
        "latency@&lt;i&gt;|not fitted: too few evaluations|–|–|–|–|–");
  CHECK(contains(document, "Accuracy is learned as its error"));
}

TEST_CASE(
    "published networks are lines at their latency, diamonds once trained, names when far away") {
  RunSummary summary = support::sample_summary();
  Baseline far = summary.baselines[0];
  far.name = "resnet18";
  far.latencies[0].latency.median_ms = 40.0;
  Baseline trained = summary.baselines[0];
  trained.name = "mnasnet";
  trained.accuracy = Accuracy{0.9, 0.003, 10000};
  summary.baselines.push_back(far);
  summary.baselines.push_back(trained);
  const std::string document = draw_and_run(summary, R"(
    const state = () => { const group = document.querySelector('[data-baselines]'); return group.dataset.baselines + ' ' + group.dataset.beyond; };
    say('front', state());
    say('lines', document.querySelectorAll('.baseline-line').length);
    say('diamonds', document.querySelectorAll('.basemark').length);
    say('names', [...document.querySelectorAll('.base-label')].map((label) => label.textContent).join());
    say('rows', document.querySelectorAll('#baselines tbody tr').length);
    say('table', document.querySelector('#baselines tbody').textContent.includes('90.00 %'));
    [...document.querySelectorAll('.seg button')].find((b) => b.textContent === 'everything').click();
    say('everything', state());)");
  CHECK(attribute(document, "data-said-front") == "2 1");
  CHECK(attribute(document, "data-said-lines") == "1");
  CHECK(attribute(document, "data-said-diamonds") == "1");
  CHECK(attribute(document, "data-said-names") == "mobilenet_v2 0.35,mnasnet,resnet18 40.00 ms →");
  CHECK(attribute(document, "data-said-rows") == "3");
  CHECK(attribute(document, "data-said-table") == "true");
  CHECK(attribute(document, "data-said-everything") == "3 0");
}

TEST_CASE("the report of a run over tables claims no test, no file and no measurement") {
  RunSummary summary = support::sample_summary();
  summary.data = {};
  summary.config.clear();
  summary.data.table = "bench.csv, column top1";
  summary.baselines.clear();
  summary.training.clear();
  summary.devices[0].agents.clear();
  summary.devices[0].engine = "replay";
  summary.devices[0].target_half_width = 0.0;
  for (FrontNetwork& network : summary.front) {
    network.test.reset();
    network.parity.reset();
    network.files.clear();
    network.blocks.clear();
    network.validation.standard_error = 0.0;
    network.peak_memory_bytes = network.model_size_bytes = network.resolution = 0;
  }
  summary.front[0].feasible = false;
  summary.front[0].roles.clear();
  const std::string document = draw(summary);
  for (const char* word :
       {"validation", "test split", "xnnpack", "supernet trained", "0 B", "±0.00"}) {
    CHECK_MESSAGE(!contains(document, word), std::string(word));
  }
  CHECK(contains(document, "looked up in bench.csv, column top1"));
  CHECK(contains(document, "8 networks of the Pareto front"));
  CHECK(contains(document, "1 more did not hold when measured again"));
  CHECK(contains(document, "local (replayed from a table)"));
  CHECK(contains(document, "Nothing was measured"));
  CHECK(count_of(document, "class=\"broken\"") == 1);

  for (FrontNetwork& network : summary.front) network.feasible = false;
  for (FrontNetwork& network : summary.front) network.roles.clear();
  CHECK(contains(draw(summary), "<h1>No network held the constraints when measured again</h1>"));
}

TEST_CASE("the report draws what each step of compression did") {
  support::SampleOptions options;
  options.compressed = true;
  const std::string document = draw(support::sample_summary(options));
  CHECK(contains(document, "What each step of compression did"));
  CHECK(contains(document, "behind net-01-int8"));
  CHECK(contains(document, "observer &lt;mse&gt;"));
  CHECK(contains(document, "×0.25"));
  CHECK_FALSE(contains(draw(support::sample_summary()), "What each step of compression did"));
}

TEST_CASE("the report draws runs without a front, with one candidate, unconfirmed, empty") {
  support::SampleOptions options;
  options.feasible_ms = 0.0;
  std::string document = draw(support::sample_summary(options));
  CHECK(contains(document, "<h1>No network satisfies the constraints</h1>"));
  CHECK(contains(document, "The nearest candidate"));
  CHECK(dots(document) == 390);

  options = {};
  options.candidates = 1;
  document = draw(support::sample_summary(options));
  CHECK(dots(document) == 1);
  CHECK(count_of(document, " data-net=\"") == 1);

  options = {};
  options.confirmed = false;
  document = draw(support::sample_summary(options));
  CHECK(contains(document, "the test split was not read"));
  CHECK_FALSE(contains(document, "Did the latencies hold?"));
  CHECK(contains(document, " searched</span>"));

  const RunSummary empty;
  document = draw(empty);
  CHECK(contains(document, "<h1>Nothing was evaluated</h1>"));
}

TEST_CASE("the report draws a run in which everything failed or is extreme") {
  support::SampleOptions options;
  options.failure_rate = 1.0;
  RunSummary summary = support::sample_summary(options);
  for (CandidateRecord& candidate : summary.search.candidates) candidate.accuracy.reset();
  std::string document = draw(summary);
  CHECK(contains(document, "No candidate has both an accuracy and a value for latency on local."));

  summary = support::sample_summary();
  for (CandidateRecord& candidate :
       summary.search.candidates) {  // no two ticks differ at this size
    if (candidate.latencies.empty()) continue;
    Latency& latency = candidate.latencies[0].latency;
    latency.median_ms = latency.low_ms = latency.high_ms =
        1e15 + static_cast<double>(candidate.index) / 400.0;
  }
  summary.front.clear();
  draw(summary);

  summary = support::sample_summary();
  summary.front[0].latencies.clear();
  summary.front[1].latencies[0].searched.reset();
  summary.front[2].latencies[0].confirmed->median_ms = 1e12;
  summary.front[2].latencies[0].confirmed->high_ms = 1e300;
  summary.front[3].blocks.clear();
  summary.front[4].latencies[0].searched->median_ms = 0.0;
  summary.front[5].test.reset();
  summary.training.resize(1);
  summary.search.generations.resize(1);
  summary.devices.clear();
  summary.stages.clear();
  draw(summary);
}

}  // namespace lathe::report
