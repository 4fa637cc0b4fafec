#pragma once

// The names of summary.json, one list a struct, used by both the writer and the reader. Internal.

#include <tuple>

#include "cli/report/ranking.h"
#include "cli/report/run_summary.h"

namespace lathe::report::detail {

template <typename Struct, typename Member>
struct Field {
  const char* name;
  Member Struct::*member;
};

template <typename Struct, typename Member>
constexpr Field<Struct, Member> field(const char* name, Member Struct::*member) {
  return {name, member};
}

/// Specialised for every struct that is a JSON object; `list` is a tuple of Field.
template <typename Struct>
struct Fields;

#define LATHE_FIELDS(Type, ...)                                \
  template <>                                                  \
  struct Fields<Type> {                                        \
    using T = Type;                                            \
    static constexpr auto list = std::make_tuple(__VA_ARGS__); \
  }

LATHE_FIELDS(Accuracy, field("top1", &T::top1), field("standard_error", &T::standard_error),
             field("images", &T::images));
LATHE_FIELDS(Energy, field("mean_mj", &T::mean_mj), field("low_mj", &T::low_mj),
             field("high_mj", &T::high_mj), field("power_w", &T::power_w),
             field("sensor", &T::sensor));
LATHE_FIELDS(Latency, field("median_ms", &T::median_ms), field("low_ms", &T::low_ms),
             field("high_ms", &T::high_ms), field("level", &T::level), field("p90_ms", &T::p90_ms),
             field("p99_ms", &T::p99_ms), field("kept", &T::kept), field("rejected", &T::rejected),
             field("processes", &T::processes), field("wall_s", &T::wall_s),
             field("verdict", &T::verdict), field("energy", &T::energy));
LATHE_FIELDS(Conditions, field("engine", &T::engine), field("engine_version", &T::engine_version),
             field("isa", &T::isa), field("threads", &T::threads),
             field("precision", &T::precision), field("governor", &T::governor),
             field("frequency_hz", &T::frequency_hz), field("temperature_c", &T::temperature_c),
             field("device_fingerprint", &T::device_fingerprint), field("extra", &T::extra));
LATHE_FIELDS(DeviceLatency, field("device", &T::device), field("latency", &T::latency));
LATHE_FIELDS(CandidateFailure, field("metric", &T::metric), field("kind", &T::kind),
             field("message", &T::message));
LATHE_FIELDS(CandidateRecord, field("index", &T::index), field("architecture", &T::architecture),
             field("description", &T::description), field("accuracy", &T::accuracy),
             field("latencies", &T::latencies), field("macs", &T::macs),
             field("params", &T::params), field("peak_memory_bytes", &T::peak_memory_bytes),
             field("model_size_bytes", &T::model_size_bytes), field("feasible", &T::feasible),
             field("screened", &T::screened), field("failures", &T::failures));

LATHE_FIELDS(FrontLatency, field("device", &T::device), field("searched", &T::searched),
             field("confirmed", &T::confirmed), field("conditions", &T::conditions));
LATHE_FIELDS(Block, field("stage", &T::stage), field("family", &T::family),
             field("kernel", &T::kernel), field("expand", &T::expand), field("width", &T::width),
             field("stride", &T::stride), field("squeeze_excite", &T::squeeze_excite),
             field("activation", &T::activation), field("resolution", &T::resolution),
             field("macs", &T::macs), field("macs_share", &T::macs_share));
LATHE_FIELDS(ExportedFile, field("path", &T::path), field("format", &T::format),
             field("precision", &T::precision), field("size_bytes", &T::size_bytes),
             field("sha256", &T::sha256));
LATHE_FIELDS(Parity, field("runtime", &T::runtime), field("max_abs_error", &T::max_abs_error),
             field("top1_agreement", &T::top1_agreement), field("images", &T::images));
LATHE_FIELDS(NetworkStep, field("name", &T::name), field("note", &T::note),
             field("validation", &T::validation), field("latencies", &T::latencies),
             field("macs", &T::macs), field("params", &T::params),
             field("peak_memory_bytes", &T::peak_memory_bytes),
             field("weight_bytes", &T::weight_bytes));
LATHE_FIELDS(FrontNetwork, field("id", &T::id), field("precision", &T::precision),
             field("candidate_index", &T::candidate_index), field("architecture", &T::architecture),
             field("description", &T::description), field("roles", &T::roles),
             field("validation", &T::validation), field("test", &T::test),
             field("latencies", &T::latencies), field("resolution", &T::resolution),
             field("macs", &T::macs), field("params", &T::params),
             field("peak_memory_bytes", &T::peak_memory_bytes),
             field("model_size_bytes", &T::model_size_bytes), field("feasible", &T::feasible),
             field("dominated_by", &T::dominated_by), field("steps", &T::steps),
             field("files", &T::files), field("parity", &T::parity), field("blocks", &T::blocks));

LATHE_FIELDS(Machine, field("cores", &T::cores), field("cpu_model", &T::cpu_model),
             field("memory_bytes", &T::memory_bytes));
LATHE_FIELDS(Stage, field("name", &T::name), field("seconds", &T::seconds),
             field("peak_memory_bytes", &T::peak_memory_bytes), field("resumed", &T::resumed));
LATHE_FIELDS(Split, field("name", &T::name), field("images", &T::images), field("hash", &T::hash));
LATHE_FIELDS(Preprocessing, field("layout", &T::layout), field("channels", &T::channels),
             field("scale", &T::scale), field("mean", &T::mean), field("std", &T::std));
LATHE_FIELDS(Data, field("dataset", &T::dataset), field("height", &T::height),
             field("width", &T::width), field("classes", &T::classes), field("splits", &T::splits),
             field("preprocessing", &T::preprocessing), field("test_opened_at", &T::test_opened_at),
             field("test_reads", &T::test_reads), field("table", &T::table));
LATHE_FIELDS(Space, field("name", &T::name), field("count", &T::count), field("genes", &T::genes),
             field("smallest_macs", &T::smallest_macs), field("largest_macs", &T::largest_macs),
             field("smallest_params", &T::smallest_params),
             field("largest_params", &T::largest_params));
LATHE_FIELDS(TrainingRecord, field("epoch", &T::epoch), field("learning_rate", &T::learning_rate),
             field("loss", &T::loss), field("top1_largest", &T::top1_largest),
             field("top1_smallest", &T::top1_smallest), field("images_per_s", &T::images_per_s),
             field("seconds", &T::seconds));
LATHE_FIELDS(Agent, field("address", &T::address), field("agent_version", &T::agent_version),
             field("hostname", &T::hostname), field("model", &T::model), field("soc", &T::soc),
             field("kernel", &T::kernel), field("isa", &T::isa),
             field("fingerprint", &T::fingerprint), field("governor", &T::governor),
             field("usable_cores", &T::usable_cores), field("memory_bytes", &T::memory_bytes),
             field("emulated", &T::emulated), field("advice", &T::advice));
LATHE_FIELDS(Device, field("name", &T::name), field("shares_host", &T::shares_host),
             field("agents", &T::agents), field("engine", &T::engine),
             field("engine_version", &T::engine_version), field("threads", &T::threads),
             field("precision", &T::precision), field("target_half_width", &T::target_half_width),
             field("conditions", &T::conditions), field("verdicts", &T::verdicts),
             field("reused", &T::reused), field("board_seconds", &T::board_seconds));
LATHE_FIELDS(ConstraintRecord, field("text", &T::text), field("metric", &T::metric),
             field("at_most", &T::at_most), field("bound", &T::bound));
LATHE_FIELDS(Generation, field("index", &T::index), field("evaluations", &T::evaluations),
             field("front_size", &T::front_size), field("hypervolume", &T::hypervolume));
LATHE_FIELDS(ReferenceValue, field("metric", &T::metric), field("value", &T::value));
LATHE_FIELDS(Factors, field("depth", &T::depth), field("width", &T::width),
             field("resolution", &T::resolution));
LATHE_FIELDS(ScaledNetwork, field("architecture", &T::architecture), field("asked", &T::asked),
             field("realised", &T::realised), field("predicted", &T::predicted),
             field("cost", &T::cost), field("top1", &T::top1),
             field("candidate_index", &T::candidate_index));
LATHE_FIELDS(ScalingFit, field("intercept", &T::intercept), field("exponents", &T::exponents),
             field("r_squared", &T::r_squared), field("residual", &T::residual),
             field("points", &T::points));
LATHE_FIELDS(FamilyNetwork, field("phi", &T::phi), field("network", &T::network),
             field("same_as", &T::same_as));
LATHE_FIELDS(Scaling, field("budget_metric", &T::budget_metric), field("factor", &T::factor),
             field("budget_cost", &T::budget_cost), field("baseline", &T::baseline),
             field("fit", &T::fit), field("grid", &T::grid), field("best", &T::best),
             field("family", &T::family));
LATHE_FIELDS(Racing, field("screened", &T::screened), field("images", &T::images),
             field("images_saved", &T::images_saved),
             field("board_seconds_saved", &T::board_seconds_saved));
LATHE_FIELDS(ModelRecord, field("model", &T::model), field("labels", &T::labels),
             field("explained", &T::explained), field("mape", &T::mape),
             field("spearman", &T::spearman), field("kendall", &T::kendall),
             field("coverage", &T::coverage), field("weight", &T::weight));
LATHE_FIELDS(LearnedMetric, field("metric", &T::metric), field("on", &T::on),
             field("models", &T::models));
LATHE_FIELDS(Search, field("strategy", &T::strategy), field("objectives", &T::objectives),
             field("constraints", &T::constraints), field("generations", &T::generations),
             field("reference_point", &T::reference_point), field("scaling", &T::scaling),
             field("racing", &T::racing), field("learned", &T::learned),
             field("candidates", &T::candidates));
LATHE_FIELDS(Baseline, field("name", &T::name), field("accuracy", &T::accuracy),
             field("latencies", &T::latencies), field("macs", &T::macs),
             field("params", &T::params), field("size_bytes", &T::size_bytes));
// The order here is the order in the file: what people look for first comes first, the long list
// last.
LATHE_FIELDS(RunSummary, field("name", &T::name), field("seed", &T::seed),
             field("lathe_version", &T::lathe_version), field("command", &T::command),
             field("config_path", &T::config_path), field("started_at", &T::started_at),
             field("finished_at", &T::finished_at), field("machine", &T::machine),
             field("stages", &T::stages), field("front", &T::front),
             field("baselines", &T::baselines), field("warnings", &T::warnings),
             field("data", &T::data), field("space", &T::space), field("training", &T::training),
             field("devices", &T::devices), field("config", &T::config),
             field("search", &T::search));

// ranking.json.
LATHE_FIELDS(RankedSubnet, field("architecture", &T::architecture),
             field("description", &T::description), field("macs", &T::macs),
             field("params", &T::params), field("inherited", &T::inherited),
             field("retrained", &T::retrained));
LATHE_FIELDS(RankingResult, field("kendall", &T::kendall), field("kendall_low", &T::kendall_low),
             field("kendall_high", &T::kendall_high), field("level", &T::level),
             field("spearman", &T::spearman), field("macs_kendall", &T::macs_kendall),
             field("pairs", &T::pairs), field("reversed_pairs", &T::reversed_pairs),
             field("undecided_pairs", &T::undecided_pairs), field("mean_gap", &T::mean_gap),
             field("gap_error", &T::gap_error), field("mean_loss", &T::mean_loss),
             field("worst_loss", &T::worst_loss));
LATHE_FIELDS(Ranking, field("space", &T::space), field("dataset", &T::dataset),
             field("seed", &T::seed), field("supernet_epochs", &T::supernet_epochs),
             field("epochs", &T::epochs), field("learning_rate", &T::learning_rate),
             field("warmup_epochs", &T::warmup_epochs), field("result", &T::result),
             field("subnets", &T::subnets));

#undef LATHE_FIELDS

}  // namespace lathe::report::detail
