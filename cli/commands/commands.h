#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

namespace lathe::cli {

// One function a command of the program `lathe`; program.cpp parses the arguments. They print their
// result to standard output and progress to standard error, and throw the exceptions of
// core/error.h.

enum class Until { Train, Search, Report };

struct RunArguments {
  std::filesystem::path config;
  std::vector<std::string> overrides;  ///< "a.b=value"
  std::filesystem::path folder;        ///< empty: run.folder of the config, or runs/NAME
};

/// `lathe run`, `lathe train`, `lathe search`: the pipeline up to a stage.
void run_command(const RunArguments& arguments, Until until);

/// `lathe plan`: what a config amounts to, without training or measuring.
void plan_command(const RunArguments& arguments);

struct DeviceArguments {
  std::filesystem::path config;     ///< take the devices of this config, or ...
  std::vector<std::string> agents;  ///< ... these host:port, or (both empty) a local agent
  std::string token_file;           ///< bearer token for `agents`
  std::filesystem::path tls_ca, tls_certificate, tls_key;  ///< PEM files for `agents`
  bool allow_plaintext = false;                            ///< beyond loopback
  std::string engine = "xnnpack";
  int threads = 1;
  bool json = false;
  std::vector<std::string> overrides;
};

/// `lathe devices`: what the boards are and can do; with `doctor`, what makes them noisy and what
/// mends it.
void devices_command(const DeviceArguments& arguments, bool doctor);

struct MeasureArguments {
  DeviceArguments device;
  std::filesystem::path model;  ///< an ONNX file
  std::string device_name;      ///< one of the config's devices; empty: all
  std::string precision;  ///< "fp32", "fp16", "int8"; empty: int8 for a quantised model, else as
                          ///< the device says
  std::optional<double> half_width;  ///< of the interval, relative; default: the device's plan
  std::string budget;                ///< board time, "20s"; default: the device's plan
  std::string sustain;               ///< "5min"; empty: the device's plan
  std::string energy;                ///< "5s"; empty: the device's plan
  bool profile = false;
  std::filesystem::path output;  ///< JSON; empty: none
};

/// `lathe measure MODEL.onnx`: its latency with interval, verdict and conditions.
void measure_command(const MeasureArguments& arguments);

struct ExportArguments {
  std::filesystem::path run;     ///< a run folder
  std::string pick = "all";      ///< best, fastest, knee, all, an id, or "latency@pi4<=20ms"
  std::filesystem::path output;  ///< folder; empty: RUN/picked
  bool check = false;            ///< parity against ONNX Runtime on test images
  bool torchscript = false;      ///< float networks as TorchScript, too
};

/// `lathe export RUN`: copies the picked networks' files, optionally checking them.
void export_command(const ExportArguments& arguments);

struct CompressArguments {
  std::filesystem::path model;   ///< an ONNX file of a float network
  std::filesystem::path config;  ///< sections data, supernet, compress, devices; empty: defaults
  std::vector<std::string> overrides;
  std::string data;          ///< data.dataset; empty: the config's
  std::string prune;         ///< compress.prune.target; empty: the config's
  bool int8 = false;         ///< compress.quantize
  bool sensitivity = false;  ///< only say how much each layer bears
  std::filesystem::path output;
};

/// `lathe compress MODEL.onnx`: prunes and quantises a network that lathe did not find, or tells
/// how much each of its layers bears.
void compress_command(const CompressArguments& arguments);

struct ReportArguments {
  std::filesystem::path run;
  std::filesystem::path output;  ///< empty: RUN/report.html
};

/// `lathe report RUN`: writes report.html anew from summary.json and prints the front.
void report_command(const ReportArguments& arguments);

struct RankArguments {
  std::filesystem::path run;  ///< a run folder with a trained supernet
  // Absent: as the study that is there, or its default.
  std::optional<int64_t> subnets;
  std::optional<double> epochs, learning_rate;
  std::optional<int64_t> seed;
};

/// `lathe supernet rank RUN`: trains some subnets alone and reports how well inherited accuracy
/// orders them; writes ranking.json, and report.html anew if there is one.
void rank_command(const RankArguments& arguments);

struct MeasurementsArguments {
  std::filesystem::path store;   ///< a run folder, or a measurement store's file
  std::string device;            ///< a device's name, or how its fingerprint begins; empty: all
  std::string network;           ///< how a network's digest begins; empty: all
  std::filesystem::path output;  ///< CSV file; empty: standard output
};

/// `lathe measurements RUN`: what the measurement store holds.
void measurements_command(const MeasurementsArguments& arguments);
/// `lathe measurements export RUN`: its rows as CSV. \throws DataError if none is meant.
void export_measurements_command(const MeasurementsArguments& arguments);

struct TableArguments {
  std::filesystem::path config;
  std::vector<std::string> overrides;
  std::string device;            ///< a board of the config; empty: the only one
  int64_t blocks = 500;          ///< measured at most
  int64_t networks = 20;         ///< whole ones, measured beside them
  std::filesystem::path output;  ///< JSON; empty: tables/SPACE-DEVICE.json
};

/// `lathe table build CONFIG`: a look-up table of the space's blocks, each measured alone.
void build_table_command(const TableArguments& arguments);

struct DataArguments {
  std::string source;  ///< a config, or the name of a data set
  std::vector<std::string> overrides;
  std::filesystem::path path;  ///< of a named set; empty: its usual places
  bool json = false;
};

/// `lathe data show CONFIG|DATASET`: classes, splits, what is unbalanced.
void show_data_command(const DataArguments& arguments);
/// `lathe data fetch DATASET`: gets it, or says how to get it. `to` empty: its usual place.
void fetch_data_command(const std::string& dataset, const std::filesystem::path& to);

struct CertificateArguments {
  std::filesystem::path folder;
  std::vector<std::string> hosts;        ///< one a board: "pi4.local,192.168.1.20"
  std::vector<std::string> controllers;  ///< names; empty: "controller", if it is not there
  int64_t days = 825;                    ///< that the new certificates are valid
  bool renew = false;                    ///< replace those that are there
};

/// `lathe certs FOLDER HOST...`: makes what is missing of a small certificate authority, lists what
/// is there, and says what to copy where.
void certificates_command(const CertificateArguments& arguments);

}  // namespace lathe::cli
