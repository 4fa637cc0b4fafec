#include "search/space/scaling.h"

#include <algorithm>
#include <cmath>
#include <vector>

namespace lathe::search {
namespace {

void check_factor(const char* name, double factor) {
  if (std::isfinite(factor) && factor > 0.0) return;
  throw InvariantError("scale: " + std::string(name) + " = " + std::to_string(factor) +
                       ", expected a positive number");
}

Option single(const std::string& name, int64_t value) {
  return {name, {{std::to_string(value), static_cast<double>(value)}}, 0, 0};
}

/// A factor of 1 keeps widths that are not multiples of 8; 0 means that the layer is absent.
int64_t scaled_width(double channels, double factor) {
  if (factor == 1.0 || channels == 0.0) return std::llround(channels);
  return make_divisible(channels * factor);
}

Option scaled_width(const Option& width, double factor) {
  return single(width.name, scaled_width(width.values.front().number, factor));
}

/// Rounds up as EfficientNet does; a product that is whole but for rounding stays.
size_t scaled_depth(size_t depth, double factor) {
  const double blocks = std::ceil(static_cast<double>(depth) * factor - 1e-9);
  return static_cast<size_t>(std::max(1.0, blocks));
}

int64_t scaled_resolution(double pixels, double factor) {
  return std::max<int64_t>(1, std::llround(pixels * factor));
}

void check_factors(const ScaleFactors& factors) {
  check_factor("depth", factors.depth);
  check_factor("width", factors.width);
  check_factor("resolution", factors.resolution);
}

/// The choice nearest to `target`, the smaller of two; a layer neither comes nor goes.
size_t nearest_choice(const Option& option, double target) {
  const auto value = [&option](size_t index) { return option.values[index].number; };
  const auto is_nearer = [&](size_t a, size_t b) {
    if ((value(a) == 0.0) != (value(b) == 0.0)) return (value(a) == 0.0) == (target == 0.0);
    const double to_a = std::abs(value(a) - target);
    const double to_b = std::abs(value(b) - target);
    return to_a != to_b ? to_a < to_b : value(a) < value(b);
  };
  size_t nearest = 0;
  for (size_t index = 1; index < option.values.size(); ++index) {
    if (is_nearer(index, nearest)) nearest = index;
  }
  return nearest;
}

double chosen(const Option& option, const Architecture& architecture, GeneLayout::Slot slot) {
  return option.values[GeneLayout::get(architecture, slot)].number;
}

void copy_block(const GeneLayout::Block& from, const GeneLayout::Block& to,
                Architecture& architecture) {
  const auto copy = [&architecture](GeneLayout::Slot source, GeneLayout::Slot target) {
    GeneLayout::set(architecture, target, GeneLayout::get(architecture, source));
  };
  copy(from.family, to.family);
  for (size_t family = 0; family < from.options.size(); ++family) {
    for (size_t option = 0; option < from.options[family].size(); ++option) {
      copy(from.options[family][option], to.options[family][option]);
    }
  }
}

/// The sizes that width multiplies, of stem, stages and head.
std::vector<double> widths_of(const StagedSpec& spec, const GeneLayout& layout,
                              const Architecture& architecture) {
  std::vector<double> widths = {chosen(spec.stem.width, architecture, layout.stem_width),
                                chosen(spec.head.width, architecture, layout.head_width),
                                chosen(spec.head.hidden, architecture, layout.head_hidden)};
  for (size_t s = 0; s < spec.stages.size(); ++s) {
    widths.push_back(chosen(spec.stages[s].width, architecture, layout.stages()[s].width));
  }
  return widths;
}

}  // namespace

StagedSpec scale(const StagedSpace& space, const Architecture& architecture,
                 const ScaleFactors& factors) {
  check_factors(factors);
  StagedSpec spec = space.fixed(architecture);
  spec.resolution =
      single("resolution", scaled_resolution(spec.resolution.values[0].number, factors.resolution));
  spec.stem.width = scaled_width(spec.stem.width, factors.width);
  spec.head.width = scaled_width(spec.head.width, factors.width);
  spec.head.hidden = scaled_width(spec.head.hidden, factors.width);
  std::vector<StageSpec> stages;
  size_t first = 0;
  for (size_t s = 0; s < space.spec().stages.size(); ++s) {
    const size_t depth = space.block_count(architecture, s);
    const std::string prefix = space.spec().stages[s].name + "_block";
    for (size_t b = 0; b < scaled_depth(depth, factors.depth); ++b) {
      StageSpec stage = spec.stages[first + std::min(b, depth - 1)];
      if (b > 0) {
        stage.stride = 1;
        stage.first_position = 1;
      }
      stage.name = prefix + std::to_string(b);
      stage.width = scaled_width(stage.width, factors.width);
      stages.push_back(std::move(stage));
    }
    first += depth;
  }
  spec.stages = std::move(stages);
  return spec;
}

Architecture scale_within(const StagedSpace& space, const Architecture& architecture,
                          const ScaleFactors& factors) {
  check_factors(factors);
  const StagedSpec& spec = space.spec();
  const GeneLayout layout(spec);
  const Architecture base = space.canonical(architecture);
  Architecture scaled = base;
  const auto widen = [&](const Option& option, GeneLayout::Slot slot) {
    const int64_t target = scaled_width(chosen(option, base, slot), factors.width);
    GeneLayout::set(scaled, slot, nearest_choice(option, static_cast<double>(target)));
  };
  const int64_t pixels =
      scaled_resolution(chosen(spec.resolution, base, layout.resolution), factors.resolution);
  GeneLayout::set(scaled, layout.resolution,
                  nearest_choice(spec.resolution, static_cast<double>(pixels)));
  widen(spec.stem.width, layout.stem_width);
  widen(spec.head.width, layout.head_width);
  widen(spec.head.hidden, layout.head_hidden);
  for (size_t s = 0; s < spec.stages.size(); ++s) {
    const GeneLayout::Stage& slots = layout.stages()[s];
    widen(spec.stages[s].width, slots.width);
    const size_t depth = space.block_count(base, s);
    const auto target = static_cast<double>(scaled_depth(depth, factors.depth));
    GeneLayout::set(scaled, slots.depth, nearest_choice(spec.stages[s].depth, target));
    for (size_t b = depth; b < slots.blocks.size(); ++b) {
      copy_block(slots.blocks[depth - 1], slots.blocks[b], scaled);
    }
  }
  return space.canonical(scaled);
}

ScaleFactors factors_between(const StagedSpace& space, const Architecture& base,
                             const Architecture& scaled) {
  space.validate(base);
  space.validate(scaled);
  const StagedSpec& spec = space.spec();
  const GeneLayout layout(spec);
  const auto blocks = [&](const Architecture& architecture) {
    size_t count = 0;
    for (size_t s = 0; s < spec.stages.size(); ++s) count += space.block_count(architecture, s);
    return static_cast<double>(count);
  };
  const std::vector<double> from = widths_of(spec, layout, base);
  const std::vector<double> to = widths_of(spec, layout, scaled);
  double logarithms = 0.0;
  int present = 0;
  for (size_t i = 0; i < from.size(); ++i) {
    if (from[i] == 0.0 || to[i] == 0.0) continue;
    logarithms += std::log(to[i] / from[i]);
    ++present;
  }
  return {blocks(scaled) / blocks(base), std::exp(logarithms / present),
          chosen(spec.resolution, scaled, layout.resolution) /
              chosen(spec.resolution, base, layout.resolution)};
}

}  // namespace lathe::search
