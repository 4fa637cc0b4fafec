#!/usr/bin/env bash
# Installs packages, builds and runs every test: all of them in the release build, and the unit tests under
# AddressSanitizer and UndefinedBehaviorSanitizer. Ends with ctest's summary. Exit status 0: all passed.
source "$(dirname "${BASH_SOURCE[0]}")/common.sh"
cd "$root"

begin_step "install packages"
scripts/install.sh

begin_step "configure release"
cmake --preset release -DLATHE_WERROR=ON -DLATHE_BUILD_BENCHMARKS=ON  # the studies of experiments/, too: nothing else builds them

begin_step "build release"
cmake --build --preset release --parallel "$jobs"

begin_step "configure asan"
cmake --preset asan -DLATHE_WERROR=ON

begin_step "build asan"
cmake --build --preset asan --parallel "$jobs" --target unit_tests

begin_step "unit tests under ASan and UBSan"
ctest --preset asan --label-regex '^unit$' --parallel "$jobs"

# The whole suite last, so that its summary is the last output.
begin_step "all tests"
print_step_times
echo
ctest --preset release --parallel "$jobs"
