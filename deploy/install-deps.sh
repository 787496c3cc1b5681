#!/usr/bin/env bash
# Installs every package that the build, the tests and the demo need. Debian 12, as root; running it again is cheap.
#
#   deploy/install-deps.sh                 everything from Debian's packages (LibTorch 1.13)
#   deploy/install-deps.sh --runtime       only what the installed server and client need to run
#   deploy/install-deps.sh --torch=pip     besides, the current LibTorch 2.x out of the `torch` wheel, into
#                                          $LIFESCOPE_TORCH_HOME (default third_party/torch-wheel); with --gpu its
#                                          CUDA libraries too (several gigabytes)
set -euo pipefail
cd "$(dirname "$0")/.."

build_packages=(
  g++ cmake ninja-build make pkg-config ccache lld-14 lld   # build
  libtorch-dev                                              # LibTorch 1.13
  nlohmann-json3-dev libssl-dev libzip-dev libgtest-dev libgmock-dev
  libgrpc++-dev libprotobuf-dev protobuf-compiler protobuf-compiler-grpc
  libabsl-dev libcli11-dev libsqlite3-dev libpqxx-dev
  libhdf5-dev                                               # person documents of the published pipelines
  postgresql                                                # a real database for the tests
  python3 ca-certificates
)
check_packages=(clang-14 clang-format-14 clang-tidy-14 libclang-rt-14-dev git)  # form, lint, thread safety, fuzzing
# LibTorch is 20 times slower on the reference BLAS. The OpenMP flavour shares LibTorch's thread pool.
blas_package=libopenblas0-openmp
runtime_packages=(
  libtorch1.13 libgrpc++1.51 libprotobuf32 libabsl20220623 libsqlite3-0 libpqxx-6.4 libhdf5-103-1 libssl3 libzip4
  libgomp1 ca-certificates
)

torch=debian gpu=no packages=("${build_packages[@]}" "${check_packages[@]}")
for argument in "$@"; do
  case $argument in
    --torch=pip) torch=pip ;;
    --torch=debian) torch=debian ;;
    --gpu) gpu=yes ;;
    --runtime) packages=("${runtime_packages[@]}") ;;
    --help|-h) sed -n '2,9s/^# \{0,1\}//p' "$0"; exit 0 ;;
    *) echo "install-deps: unknown argument '$argument' (see --help)" >&2; exit 2 ;;
  esac
done
packages+=("$blas_package")

system=$(. /etc/os-release 2>/dev/null && echo "${ID:-unknown} ${VERSION_ID:-}")
if [ "$system" != "debian 12" ]; then
  cat >&2 <<EOF
install-deps: this system is '$system'; the script knows Debian 12.
Install by hand: a C++20 compiler, CMake 3.25, Ninja, LibTorch 1.13 or later with a fast BLAS, gRPC 1.51 and Protocol
Buffers 3.21 or later, Abseil, libpqxx 6.4 or 7, SQLite 3.40, OpenSSL, libzip 1.7, nlohmann-json 3.11, CLI11 2.1, GoogleTest,
HDF5 1.10, PostgreSQL 15 (tests). Then run the cmake presets directly. Or use the container: docker compose build.
EOF
  exit 1
fi

missing=()
for package in "${packages[@]}"; do
  dpkg-query -W -f='${db:Status-Status}' "$package" 2>/dev/null | grep -qx installed || missing+=("$package")
done
if [ ${#missing[@]} -gt 0 ]; then
  if [ "$(id -u)" != 0 ]; then
    echo "install-deps: run as root to install: ${missing[*]}" >&2
    exit 1
  fi
  echo "install-deps: installing ${missing[*]}"
  export DEBIAN_FRONTEND=noninteractive
  apt-get update -qq
  apt-get install -y -qq --no-install-recommends "${missing[@]}" >/dev/null
fi

# The loader must resolve libblas to OpenBLAS: an older alternative set by hand would win silently.
blas=$(readlink -f /usr/lib/x86_64-linux-gnu/libblas.so.3 2>/dev/null || true)
case $blas in
  *openblas*|'') ;;
  *) echo "install-deps: warning: libblas.so.3 is $blas; run 'update-alternatives --auto libblas.so.3-x86_64-linux-gnu'" >&2 ;;
esac

if [ $torch = pip ]; then
  home=${LIFESCOPE_TORCH_HOME:-third_party/torch-wheel}
  mkdir -p "$home"
  home=$(cd "$home" && pwd)
  if [ ! -e "$home/torch/lib/libtorch_cpu.so" ]; then
    command -v python3 >/dev/null && python3 -m pip --version >/dev/null 2>&1 || {
      [ "$(id -u)" = 0 ] || { echo "install-deps: python3-pip is missing; run as root" >&2; exit 1; }
      DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends python3-pip >/dev/null
    }
    pip=(python3 -m pip install --quiet --disable-pip-version-check --target "$home")
    if [ $gpu = yes ]; then
      "${pip[@]}" torch
    else
      # The wheel's CPU library names CUDA's runtime and profiler libraries: those two alone let it load.
      "${pip[@]}" --no-deps torch
      cuda_version=$(sed -n 's/^cuda: .*= .\([0-9]*\)\..*/\1/p' "$home/torch/version.py")
      if [ -n "$cuda_version" ]; then
        "${pip[@]}" --no-deps "nvidia-cuda-runtime==$cuda_version.*" "nvidia-cuda-cupti==$cuda_version.*"
      fi
    fi
  fi
  echo "install-deps: LibTorch $(sed -n "s/^__version__ = '\(.*\)'/\1/p" "$home/torch/version.py") in $home/torch"
  echo "              configure with: cmake --preset engine -DLIFESCOPE_TORCH_DIR=$home/torch"
fi
echo "install-deps: done"
