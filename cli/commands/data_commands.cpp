#include <algorithm>
#include <cstdio>
#include <nlohmann/json.hpp>
#include <string>

#include "cli/commands/commands.h"
#include "cli/pipeline/run_config.h"
#include "cli/text_table.h"
#include "core/error.h"
#include "core/text.h"
#include "supernet/supernet.h"

namespace lathe::cli {
namespace {

bool is_dataset(const std::string& name) {
  const std::vector<std::string>& names = supernet::dataset_names();
  return std::find(names.begin(), names.end(), name) != names.end();
}

supernet::SupernetOptions options_of(const DataArguments& arguments) {
  if (!is_dataset(arguments.source)) {
    if (!arguments.path.empty()) {
      throw ConfigError("--path is for a data set; the config " + arguments.source +
                        " has data.path (--set data.path=FOLDER)");
    }
    const RunConfig config = read_run_config(arguments.source, arguments.overrides);
    if (config.accuracy) {
      throw ConfigError(arguments.source +
                        ": its accuracies come from a table (`accuracy`), it has no data set");
    }
    return config.supernet;
  }
  if (!arguments.overrides.empty()) {
    throw ConfigError("--set is for a config, and " + arguments.source + " is a data set");
  }
  supernet::SupernetOptions options;
  options.data.dataset = arguments.source;
  options.data.path = arguments.path;
  return options;
}

/// What a reader should know before training: classes with under a tenth of the largest one's
/// images, or without any in the validation split.
std::vector<std::string> warnings_of(const supernet::DataSummary& data) {
  std::vector<std::string> warnings;
  const int64_t largest =
      *std::max_element(data.train_per_class.begin(), data.train_per_class.end());
  for (size_t c = 0; c < data.class_names.size(); ++c) {
    const std::string name = "class " + std::to_string(c) + " (" + data.class_names[c] + ") has ";
    if (10 * data.train_per_class[c] < largest) {
      warnings.push_back(name + std::to_string(data.train_per_class[c]) +
                         " training images, under a tenth of the " + std::to_string(largest) +
                         " of the largest class");
    }
    if (data.validation_per_class[c] == 0) warnings.push_back(name + "no validation image");
  }
  return warnings;
}

nlohmann::ordered_json to_json(const supernet::DataSummary& data) {
  nlohmann::ordered_json classes = nlohmann::ordered_json::array();
  for (size_t c = 0; c < data.class_names.size(); ++c) {
    classes.push_back({{"name", data.class_names[c]},
                       {"train", data.train_per_class[c]},
                       {"validation", data.validation_per_class[c]}});
  }
  return {{"dataset", data.dataset},
          {"channels", data.channels},
          {"height", data.height},
          {"width", data.width},
          {"splits",
           {{"train", data.train},
            {"calibration", data.calibration},
            {"validation", data.validation},
            {"test", data.test}}},
          {"mean", data.mean},
          {"standard_deviation", data.standard_deviation},
          {"classes", classes},
          {"warnings", warnings_of(data)}};
}

std::string rounded(const std::vector<double>& values) {
  return join(values, " ", [](double value) {
    char text[32];
    std::snprintf(text, sizeof text, "%.4f", value);
    return std::string(text);
  });
}

void print(const supernet::DataSummary& data) {
  const auto wide = [](int64_t value) { return static_cast<long long>(value); };
  std::printf("data       %s: %lld classes, %lld x %lld, %s\n", data.dataset.c_str(),
              wide(data.classes), wide(data.height), wide(data.width),
              data.channels == 3 ? "RGB" : "grey");
  std::printf("splits     train %lld, calibration %lld, validation %lld, test %lld\n",
              wide(data.train), wide(data.calibration), wide(data.validation), wide(data.test));
  std::printf("mean       %s\nstd        %s\n\n", rounded(data.mean).c_str(),
              rounded(data.standard_deviation).c_str());
  TextTable table({"class", "name", "train", "validation"});
  for (size_t c = 0; c < data.class_names.size(); ++c) {
    table.add({std::to_string(c), data.class_names[c], std::to_string(data.train_per_class[c]),
               std::to_string(data.validation_per_class[c])});
  }
  std::printf("%s", table.text().c_str());
  for (const std::string& warning : warnings_of(data))
    std::printf("warning: %s\n", warning.c_str());
}

}  // namespace

void show_data_command(const DataArguments& arguments) {
  const supernet::DataSummary data =
      supernet::load_supernet_module().inspect_data(options_of(arguments));
  if (arguments.json) {
    std::printf("%s\n", to_json(data).dump(2).c_str());
  } else {
    print(data);
  }
}

void fetch_data_command(const std::string& dataset, const std::filesystem::path& to) {
  if (!is_dataset(dataset) || dataset == "folder" || dataset == "csv") {
    throw ConfigError("data set " + dataset +
                      ": cannot be fetched, expected fashion_mnist, mnist, cifar10 or cifar100");
  }
  supernet::SupernetModule& module = supernet::load_supernet_module();
  supernet::SupernetOptions options;
  options.data.dataset = dataset;
  options.data.path = module.fetch_data(dataset, to);
  const supernet::DataSummary data = module.inspect_data(options);
  const int64_t files = data.train + data.calibration + data.validation;
  std::printf("%s is in %s: %lld training and %lld test images of %lld classes, mean %s, std %s\n",
              dataset.c_str(), options.data.path.c_str(), static_cast<long long>(files),
              static_cast<long long>(data.test), static_cast<long long>(data.classes),
              rounded(data.mean).c_str(), rounded(data.standard_deviation).c_str());
}

}  // namespace lathe::cli
