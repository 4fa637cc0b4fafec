#include "supernet/compress/prune_rounds.h"

#include <cstdio>
#include <nlohmann/json.hpp>
#include <utility>

#include "core/error.h"
#include "core/file.h"
#include "network/onnx.h"

namespace lathe::supernet {
namespace {

using Json = nlohmann::ordered_json;

Json to_json(const PruneRound& round) {
  return {{"round", round.round},
          {"value", {round.value.value, round.value.low, round.value.high}},
          {"macs", round.macs},
          {"params", round.params},
          {"top1_pruned", round.top1_pruned},
          {"top1", round.validation.top1},
          {"standard_error", round.validation.standard_error},
          {"images", round.validation.images}};
}

PruneRound from_json(const Json& json) {
  PruneRound round;
  round.round = json.at("round").get<int64_t>();
  const Json& value = json.at("value");
  round.value = {value.at(0).get<double>(), value.at(1).get<double>(), value.at(2).get<double>()};
  round.macs = json.at("macs").get<int64_t>();
  round.params = json.at("params").get<int64_t>();
  round.top1_pruned = json.at("top1_pruned").get<double>();
  round.validation = {json.at("top1").get<double>(), json.at("standard_error").get<double>(),
                      json.at("images").get<int64_t>()};
  return round;
}

}  // namespace

PruneRounds::PruneRounds(std::filesystem::path folder, std::string identity)
    : folder_(std::move(folder)), identity_(std::move(identity)) {
  const std::filesystem::path path = folder_ / "rounds.json";
  if (!std::filesystem::exists(path)) return;
  std::string found;
  try {
    const Json json = Json::parse(read_file(path));
    found = json.at("identity").get<std::string>();
    ended_ = json.at("ended").get<std::string>();
    for (const Json& round : json.at("rounds")) rounds_.push_back(from_json(round));
  } catch (const Json::exception& error) {
    throw DataError(path.string() + ": damaged (" + error.what() +
                    "), expected rounds of pruning; remove the folder to prune anew");
  }
  if (found != identity_) {
    throw DataError(path.string() + ": rounds of\n" + found + "\nexpected\n" + identity_ +
                    "\nremove the folder to prune anew");
  }
}

std::filesystem::path PruneRounds::file_of(int64_t round) const {
  char name[32];
  std::snprintf(name, sizeof name, "round-%02d.onnx", static_cast<int>(round));
  return folder_ / name;
}

network::Model PruneRounds::model(int64_t round) const {
  return network::read_onnx_file(file_of(round));
}

void PruneRounds::add(const PruneRound& round, const network::Model& model) {
  write_file_atomically(file_of(round.round), network::to_onnx(model));
  rounds_.push_back(round);
  write();
}

void PruneRounds::end(const std::string& why) {
  ended_ = why;
  write();
}

void PruneRounds::write() const {
  Json json = {{"identity", identity_}, {"ended", ended_}, {"rounds", Json::array()}};
  for (const PruneRound& round : rounds_) json["rounds"].push_back(to_json(round));
  write_file_atomically(folder_ / "rounds.json", json.dump(1) + "\n");
}

}  // namespace lathe::supernet
