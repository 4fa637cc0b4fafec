#include "core/rng.h"

#include <cmath>
#include <limits>
#include <locale>
#include <sstream>

namespace lathe {
namespace {

constexpr const char* kSaveHeader = "lathe-rng-1";

void append_little_endian(std::string& bytes, uint64_t value) {
  for (int shift = 0; shift < 64; shift += 8) {
    bytes.push_back(static_cast<char>((value >> shift) & 0xFFU));
  }
}

}  // namespace

uint64_t stable_hash(std::string_view bytes) {
  uint64_t hash = 0xcbf29ce484222325ULL;
  for (const char byte : bytes) {
    hash ^= static_cast<unsigned char>(byte);
    hash *= 0x100000001b3ULL;
  }
  // FNV leaves the high bits of short keys nearly alike; this finaliser spreads them.
  hash ^= hash >> 33;
  hash *= 0xff51afd7ed558ccdULL;
  hash ^= hash >> 33;
  hash *= 0xc4ceb9fe1a85ec53ULL;
  hash ^= hash >> 33;
  return hash;
}

Rng::Rng(uint64_t seed) : seed_(seed), engine_(seed) {}

Rng Rng::derive(std::string_view name, uint64_t index) const {
  std::string key;
  key.reserve(name.size() + 17);
  append_little_endian(key, seed_);
  append_little_endian(key, index);
  key.append(name);
  return Rng(stable_hash(key));
}

uint64_t Rng::next() { return engine_(); }

double Rng::uniform() { return static_cast<double>(next() >> 11) * 0x1.0p-53; }

double Rng::uniform(double low, double high) {
  if (!(low <= high) || !std::isfinite(high - low)) {
    throw InvariantError("Rng::uniform: range = [" + std::to_string(low) + ", " +
                         std::to_string(high) + "), expected finite ends in increasing order");
  }
  const double value = low + (high - low) * uniform();
  // Rounding can reach the open end.
  return value < high ? value : std::nextafter(high, low);
}

uint64_t Rng::below(uint64_t bound) {
  if (bound == 0) throw InvariantError("Rng::below: bound = 0, expected at least 1");
  // The first 2^64 mod bound values would make small results more likely.
  const uint64_t rejected = (0 - bound) % bound;
  uint64_t bits = next();
  while (bits < rejected) bits = next();
  return bits % bound;
}

int64_t Rng::integer(int64_t low, int64_t high) {
  if (low > high) {
    throw InvariantError("Rng::integer: range = [" + std::to_string(low) + ", " +
                         std::to_string(high) + "], expected low <= high");
  }
  const uint64_t span = static_cast<uint64_t>(high) - static_cast<uint64_t>(low);
  const uint64_t offset = span == std::numeric_limits<uint64_t>::max() ? next() : below(span + 1);
  return static_cast<int64_t>(static_cast<uint64_t>(low) + offset);
}

bool Rng::bernoulli(double p) {
  if (!(p >= 0.0 && p <= 1.0)) {
    throw InvariantError("Rng::bernoulli: p = " + std::to_string(p) + ", expected within [0, 1]");
  }
  return uniform() < p;
}

double Rng::normal() {
  while (true) {
    const double x = 2.0 * uniform() - 1.0;
    const double y = 2.0 * uniform() - 1.0;
    const double square = x * x + y * y;
    if (square > 0.0 && square < 1.0) return x * std::sqrt(-2.0 * std::log(square) / square);
  }
}

double Rng::gamma(double shape) {
  if (!std::isfinite(shape) || shape <= 0.0) {
    throw InvariantError("Rng::gamma: shape = " + std::to_string(shape) +
                         ", expected a positive number");
  }
  // A smaller shape is drawn from the next larger one.
  const double boost = shape < 1.0 ? std::pow(1.0 - uniform(), 1.0 / shape) : 1.0;
  const double d = (shape < 1.0 ? shape + 1.0 : shape) - 1.0 / 3.0;
  const double c = 1.0 / std::sqrt(9.0 * d);
  while (true) {
    const double x = normal();
    const double v = std::pow(1.0 + c * x, 3.0);
    if (v <= 0.0) continue;
    const double u = 1.0 - uniform();
    if (std::log(u) < 0.5 * x * x + d - d * v + d * std::log(v)) return boost * d * v;
  }
}

size_t Rng::weighted(const std::vector<double>& weights) {
  double total = 0.0;
  for (size_t i = 0; i < weights.size(); ++i) {
    if (!(weights[i] >= 0.0) || !std::isfinite(weights[i])) {
      throw InvariantError("Rng::weighted: weight " + std::to_string(i) + " = " +
                           std::to_string(weights[i]) + ", expected finite and at least 0");
    }
    total += weights[i];
  }
  if (!(total > 0.0) || !std::isfinite(total)) {
    throw InvariantError("Rng::weighted: sum of " + std::to_string(weights.size()) +
                         " weights = " + std::to_string(total) + ", expected finite and above 0");
  }
  double rest = uniform() * total;
  size_t last = 0;
  for (size_t i = 0; i < weights.size(); ++i) {
    if (weights[i] == 0.0) continue;
    if (rest < weights[i]) return i;
    rest -= weights[i];
    last = i;
  }
  return last;  // rounding used up the total
}

std::string Rng::save() const {
  std::ostringstream out;
  out.imbue(std::locale::classic());
  out << kSaveHeader << ' ' << seed_ << ' ' << engine_;
  return out.str();
}

Rng Rng::load(const std::string& text) {
  std::istringstream in(text);
  in.imbue(std::locale::classic());
  std::string header;
  uint64_t seed = 0;
  in >> header >> seed;
  Rng rng(seed);
  in >> rng.engine_;
  // Comparing with a fresh save refuses trailing, missing and reformatted parts alike.
  if (header != kSaveHeader || in.fail() || rng.save() != text) {
    throw DataError("Rng::load: text = \"" + text.substr(0, 40) +
                    "\", expected what Rng::save wrote");
  }
  return rng;
}

}  // namespace lathe
