#!/usr/bin/env bash
# Builds the lathe that trains alone (LATHE_TRAINING_ONLY) with every package hidden that it must not need, and lets two
# processes of it train some steps together. Exit status 0: it builds and trains.
source "$(dirname "${BASH_SOURCE[0]}")/common.sh"
cd "$root"

folder="$root/build/training"

# Prints a port on which nobody listens.
free_port() {
  local port=$((20000 + RANDOM % 12000))
  while (: <"/dev/tcp/127.0.0.1/$port") 2>/dev/null; do port=$((port + 1)); done
  echo "$port"
}

hidden=()
for package in ONNX gRPC SQLiteCpp Pagmo Eigen3 XNNPACK; do # protobuf is for Debian's LibTorch itself
  hidden+=("-DCMAKE_DISABLE_FIND_PACKAGE_$package=ON")
done

begin_step "build the lathe that trains alone"
cmake --preset training -DLATHE_WERROR=ON "${hidden[@]}" --log-level=WARNING
cmake --build --preset training --parallel "$jobs" --target lathe

begin_step "train with two processes"
run="$folder/check"
rm -rf "$run"
export WORLD_SIZE=2 LOCAL_WORLD_SIZE=2 MASTER_ADDR=127.0.0.1
MASTER_PORT="$(free_port)"
export MASTER_PORT
train=("$folder/bin/lathe" train configs/quickstart.yaml --folder "$run/run" --set data.train_limit=2000
  --set supernet.epochs=0.4 --set data.validation=500 --set data.calibration=500)
RANK=1 "${train[@]}" &
RANK=0 "${train[@]}"
wait $!
[[ -s "$run/run/supernet/checkpoint.pt" && -s "$run/run/supernet/metrics.jsonl" ]]
end_step
print_step_times
