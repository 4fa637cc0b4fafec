#!/usr/bin/env bash
# From a fresh Debian 12 machine to a searched network: installs packages, builds lathe and runs
# configs/quickstart.yaml (Fashion-MNIST, latency measured on this machine). Running it again continues or
# repeats only what is not done. Arguments are handed to `lathe run`, for example: --set run.seed=8
source "$(dirname "${BASH_SOURCE[0]}")/common.sh"
cd "$root"

begin_step "install packages"
scripts/install.sh

begin_step "configure"
# The compiler of Debian 12 is known to give no warning: the same flags as scripts/test.sh, so that
# neither builds again what the other has built.
werror=OFF
[[ "$(c++ -dumpversion)" == 12* ]] && werror=ON
cmake --preset release -DLATHE_WERROR=$werror

begin_step "build"
cmake --build --preset release --parallel "$jobs" --target lathe lathe-agent

begin_step "lathe run configs/quickstart.yaml"
build/release/bin/lathe run configs/quickstart.yaml "$@"

end_step
print_step_times
