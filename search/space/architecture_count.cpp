#include "search/space/architecture_count.h"

#include <boost/multiprecision/cpp_int.hpp>

namespace lathe::search {

using boost::multiprecision::cpp_int;

struct ArchitectureCount::State {
  const StagedSpec& spec;
  const GeneLayout& layout;
  const std::vector<StageVariants>& variants;
  const std::vector<StageTables>& tables;
  /// Ways to fill the stages from `s` on when the width into it has index `in`.
  std::vector<std::vector<cpp_int>> completions;
  cpp_int free_combinations = 1;
  cpp_int stage_combinations = 0;  ///< stem width and all stages

  /// Ways to fill stage `s` alone with the given widths and number of blocks.
  cpp_int stage_ways(size_t s, size_t in, size_t out, int64_t depth) const {
    cpp_int ways = tables[s].first[in][out].distinct.size();
    for (int64_t b = 1; b < depth; ++b) ways *= tables[s].later[out].distinct.size();
    return ways;
  }

  void count() {
    for (const GeneLayout::Slot slot : layout.free_slots()) {
      free_combinations *= layout.genes()[static_cast<size_t>(slot)].options.size();
    }
    const size_t stages = spec.stages.size();
    completions.resize(stages + 1);
    completions[stages].assign(spec.width_into(stages).values.size(), 1);
    for (size_t s = stages; s-- > 0;) {
      const size_t ins = spec.width_into(s).values.size();
      completions[s].assign(ins, 0);
      for (size_t in = 0; in < ins; ++in) {
        for (size_t out = 0; out < spec.stages[s].width.values.size(); ++out) {
          for (const OptionValue& depth : spec.stages[s].depth.values) {
            completions[s][in] += stage_ways(s, in, out, static_cast<int64_t>(depth.number)) *
                                  completions[s + 1][out];
          }
        }
      }
    }
    for (const cpp_int& ways : completions[0]) stage_combinations += ways;
  }

  /// Takes the digit of `number` to the given base off its low end.
  static size_t take_digit(cpp_int& number, size_t base) {
    const auto digit = static_cast<size_t>(number % base);
    number /= base;
    return digit;
  }

  /// Chooses the stage's widths and depth by subtracting whole groups, then its blocks by division.
  /// Leaves the number of the completion in `number` and returns the chosen width.
  size_t fill_stage(size_t s, size_t in, cpp_int& number, Architecture& architecture) const {
    const StageSpec& stage = spec.stages[s];
    for (size_t out = 0; out < stage.width.values.size(); ++out) {
      for (size_t d = 0; d < stage.depth.values.size(); ++d) {
        const auto depth = static_cast<int64_t>(stage.depth.values[d].number);
        const cpp_int group = stage_ways(s, in, out, depth) * completions[s + 1][out];
        if (number >= group) {
          number -= group;
          continue;
        }
        GeneLayout::set(architecture, layout.stages()[s].depth, d);
        GeneLayout::set(architecture, layout.stages()[s].width, out);
        for (size_t b = 0; b < static_cast<size_t>(depth); ++b) {
          const VariantTable& table = b == 0 ? tables[s].first[in][out] : tables[s].later[out];
          const size_t chosen = table.distinct[take_digit(number, table.distinct.size())];
          GeneLayout::set_variant(variants[s], layout.stages()[s].blocks[b], chosen, architecture);
        }
        return out;
      }
    }
    throw InvariantError("space " + spec.name + ": stage " + stage.name +
                         " has no such architecture");
  }

  Architecture decode(cpp_int number) const {
    Architecture architecture;
    architecture.genes.assign(layout.genes().size(), 0);
    for (const GeneLayout::Slot slot : layout.free_slots()) {
      const size_t options = layout.genes()[static_cast<size_t>(slot)].options.size();
      GeneLayout::set(architecture, slot, take_digit(number, options));
    }
    size_t width = 0;
    while (number >= completions[0][width]) number -= completions[0][width++];
    GeneLayout::set(architecture, layout.stem_width, width);
    for (size_t s = 0; s < spec.stages.size(); ++s)
      width = fill_stage(s, width, number, architecture);
    return architecture;
  }
};

ArchitectureCount::ArchitectureCount(const StagedSpec& spec, const GeneLayout& layout,
                                     const std::vector<StageVariants>& variants,
                                     const std::vector<StageTables>& tables)
    : state_(new State{spec, layout, variants, tables, {}}) {
  state_->count();
}

ArchitectureCount::~ArchitectureCount() = default;

std::string ArchitectureCount::total() const {
  return cpp_int(state_->free_combinations * state_->stage_combinations).str();
}

Architecture ArchitectureCount::sample(Rng& rng) const {
  const cpp_int total = state_->free_combinations * state_->stage_combinations;
  // Rejection over the next power of two, in words of 64 bits.
  const unsigned bits = total == 1 ? 1 : boost::multiprecision::msb(cpp_int(total - 1)) + 1;
  const cpp_int mask = (cpp_int(1) << bits) - 1;
  while (true) {
    cpp_int number = 0;
    for (unsigned drawn = 0; drawn < bits; drawn += 64)
      number = (number << 64) | cpp_int(rng.next());
    number &= mask;
    if (number < total) return state_->decode(number);
  }
}

Architecture ArchitectureCount::at(uint64_t index) const {
  if (cpp_int(index) >= state_->free_combinations * state_->stage_combinations) {
    throw InvariantError("space " + state_->spec.name + ": architecture number " +
                         std::to_string(index) + ", expected a number below " + total());
  }
  return state_->decode(index);
}

}  // namespace lathe::search
