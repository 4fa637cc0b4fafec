#!/usr/bin/env bash
# Installs what lathe is built and tested with: the Debian packages of packages.txt, and ONNX Runtime for
# Node.js (from npm, into build/tools/), with which exported networks are checked. Does nothing when all
# of it is there. Needs root or sudo only to install packages.
source "$(dirname "${BASH_SOURCE[0]}")/common.sh"

onnxruntime_version="1.20.1"
tools="$root/build/tools"

is_installed() {
  [[ "$(dpkg-query --show --showformat='${db:Status-Status}' "$1" 2>/dev/null)" == "installed" ]]
}

list_packages() {
  sed -e 's/#.*//' -e 's/[[:space:]]*$//' -e '/^$/d' "$root/scripts/packages.txt"
  # A node and npm that are already there serve, wherever they come from.
  command -v node >/dev/null || echo nodejs
  command -v npm >/dev/null || echo npm
}

install_packages() {
  local package as_root=()
  local missing=()
  if ! command -v apt-get >/dev/null || ! command -v dpkg-query >/dev/null; then
    echo "install.sh: apt-get is not there; expected Debian 12 or newer, or Ubuntu 22.10 or newer." >&2
    echo "Install what scripts/packages.txt lists by hand, then build with: cmake --preset release" >&2
    return 1
  fi
  for package in $(list_packages); do
    is_installed "$package" || missing+=("$package")
  done
  if ((${#missing[@]} == 0)); then
    echo "All Debian packages are installed."
    return
  fi
  if (($(id -u) != 0)); then
    if ! command -v sudo >/dev/null; then
      echo "install.sh: not root and no sudo; as root, run: apt-get install ${missing[*]}" >&2
      return 1
    fi
    as_root=(sudo)
  fi
  echo "Installing ${#missing[@]} Debian packages: ${missing[*]}"
  mkdir -p "$tools"
  if ! { "${as_root[@]}" apt-get update -q && "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive \
    apt-get install -q -y --no-install-recommends "${missing[@]}"; } >"$tools/apt.log" 2>&1; then
    tail -n 20 "$tools/apt.log" >&2
    echo "install.sh: apt-get failed; all of its output is in build/tools/apt.log" >&2
    return 1
  fi
}

onnxruntime_works() {
  (cd "$tools" && node -e '
    const wanted = process.argv[1];
    require("onnxruntime-node");
    const found = require("onnxruntime-node/package.json").version;
    process.exit(found === wanted ? 0 : 1);' "$onnxruntime_version") 2>/dev/null
}

install_onnxruntime() {
  mkdir -p "$tools"
  if onnxruntime_works; then
    echo "ONNX Runtime $onnxruntime_version for Node.js is installed."
    return
  fi
  echo "Installing ONNX Runtime $onnxruntime_version for Node.js into build/tools/ (by npm, about 200 MB on disk)"
  rm -rf "$tools/node_modules"
  # Without its install script, which would fetch GPU libraries.
  if ! npm install --prefix "$tools" --ignore-scripts --no-save --no-package-lock --no-audit --no-fund \
    "onnxruntime-node@$onnxruntime_version" >"$tools/npm.log" 2>&1; then
    tail -n 20 "$tools/npm.log" >&2
    echo "install.sh: npm install failed; expected the npm registry to be reachable (npm config get registry)" >&2
    return 1
  fi
  if ! onnxruntime_works; then
    echo "install.sh: onnxruntime-node $onnxruntime_version is installed but does not load:" >&2
    (cd "$tools" && node -e 'require("onnxruntime-node")') || true
    return 1
  fi
}

begin_step "install packages"
install_packages
install_onnxruntime
end_step
