# Sourced by scripts/setup, run and test: where things are kept, how a step is shown, how a build is configured.
#
#   BOP_CACHE  everything that is not in the checkout (default ${XDG_CACHE_HOME:-~/.cache}/bop):
#     sqlite-<version>/   the amalgamation, checked against deps/sqlite/sha256sums
#     duckdb-<version>/   the library and its headers, checked against deps/duckdb/sha256sums
#     mdbx-<version>/     libmdbx's amalgamation, checked against deps/mdbx/sha256sums
#     venv-<hash>/        Python packages of the tests
#     versitygw-<version>/  an S3 server of the tests, where Go is on the machine
#     cargo-<hash>/       what cargo has built of rust/, by its Cargo.lock and the compiler; shared by all checkouts
#     ccache/             compiler cache, shared by all checkouts
#     build/<key>/        one folder a checkout: `source` is a link to it, beside it release/, asan/, tsan/, logs/
#   BOP_JOBS   how many compilers or tests run at once (default: processors, at most one for each 1.5 GiB free)

set -euo pipefail

top=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd -P)
cache=${BOP_CACHE:-${XDG_CACHE_HOME:-${HOME:-/root}/.cache}/bop}
tree=$cache/build/$(basename "$top")-$(printf %s "$top" | sha256sum | cut -c1-10)
logs=$tree/logs
sqlite_dir=$cache/sqlite-0.39.1
duckdb_dir=$cache/duckdb-1.5.6
versitygw_dir=$cache/versitygw-1.8.0
mdbx_dir=$cache/mdbx-0.14.4
venv=$cache/venv-$(sha256sum "$top/deps/requirements.txt" | cut -c1-12)

if ! mkdir -p "$logs" 2>/dev/null; then
  echo "The cache folder $cache cannot be written; set BOP_CACHE to one that can." >&2
  exit 1
fi

# Compilers see the checkout only through $tree/source, as ../source from the build folder, and the compiler cache
# makes paths below $cache relative: a clone elsewhere finds every object of this one.
export CCACHE_DIR=$cache/ccache CCACHE_BASEDIR=$cache CCACHE_NOHASHDIR=1 CCACHE_MAXSIZE=${CCACHE_MAXSIZE:-4G}
export NINJA_STATUS='[%f/%t %es] '

# A cargo that is new enough (rust/Cargo.toml says which), of the path, of rustup or of Debian; fails when there is none.
find_cargo() {
  local least
  least=$(sed -n 's/^rust-version = "\(.*\)"$/\1/p' "$top/rust/Cargo.toml")
  for cargo in "$(command -v cargo || true)" "${CARGO_HOME:-${HOME:-/root}/.cargo}/bin/cargo" /usr/bin/cargo; do
    if [ -x "$cargo" ] && printf '%s\n' "$least" "$("$cargo" --version | cut -d' ' -f2)" | sort -CV; then return 0; fi
  done
  return 1
}
cargo_target() {
  printf '%s/cargo-%s' "$cache" "$( (cat "$top/rust/Cargo.lock" && "$cargo" --version) | sha256sum | cut -c1-12)"
}

if [ -z "${BOP_JOBS:-}" ]; then
  BOP_JOBS=$(nproc)
  by_memory=$(awk '/MemAvailable/ {print int($2 / 1572864)}' /proc/meminfo)
  if [ "$by_memory" -lt "$BOP_JOBS" ]; then BOP_JOBS=$by_memory; fi
  if [ "$BOP_JOBS" -lt 1 ]; then BOP_JOBS=1; fi
fi

say() { printf '%s\n' "$@"; }
die() {
  printf '%s\n' "$*" >&2
  exit 1
}

# step <name> <command...>: runs it with its output in a log, stopping at the first command that fails; prints the name,
# then ok and the time. A failure shows the end of the log and ends the script. (Bash ignores `set -e` in everything
# that is called from a condition, so this may not be written with `if`, nor called from one.)
step() {
  local name=$1 log start=$EPOCHREALTIME result
  shift
  log=$logs/$(printf %s "$name" | tr -c 'a-zA-Z0-9' '-').log
  printf '  %-46s ' "$name ..."
  set +e
  (
    set -e
    "$@"
  ) >"$log" 2>&1 </dev/null
  result=$?
  set -e
  if [ "$result" = 0 ]; then
    printf 'ok  %6.1f s\n' "$(elapsed "$start")"
  else
    printf 'FAILED\n'
    tail -n 25 "$log" >&2
    die "$name failed; the whole output is in $log"
  fi
}

elapsed() { awk -v a="$1" -v b="$EPOCHREALTIME" 'BEGIN { printf "%.1f", b - a }'; }

# configure <preset> <cmake arguments...>: only when there is no build yet or the arguments have changed; ninja itself
# notices changed CMake files.
configure() {
  local preset=$1 build=$tree/$1
  shift
  set -- "-DBOP_SQLITE_DIR=$sqlite_dir" "-DBOP_DUCKDB_DIR=$duckdb_dir" "-DBOP_MDBX_DIR=$mdbx_dir" "$@"
  find_cargo || die "cargo is needed to build rust/ and was not found: scripts/setup installs it."
  set -- "-DBOP_CARGO=$cargo" "-DBOP_CARGO_TARGET=$(cargo_target)" "-DBOP_VERSITYGW=$versitygw_dir/versitygw" "$@"
  ln -sfn "$top" "$tree/source"
  if [ -f "$build/build.ninja" ] && [ "$(cat "$build/arguments" 2>/dev/null)" = "$(printf '%s\n' "$@")" ]; then return; fi
  step "configure $preset" cmake --preset "$preset" -S "$tree/source" -B "$build" "$@"
  printf '%s\n' "$@" >"$build/arguments"
}

# build <preset> <target>: visible progress; a failure has been explained by the compiler already.
build() {
  local start=$EPOCHREALTIME
  if ! ninja -C "$tree/$1" -j "$BOP_JOBS" "$2"; then
    die "The build of $2 ($1) failed; the compiler's words are above."
  fi
  say "  built $2 ($1) in $(elapsed "$start") s"
}

# Two scripts must not build one tree at a time.
lock_tree() {
  exec 9>"$tree/lock"
  if ! flock -n 9; then
    say "Waiting for another build of this checkout ..."
    flock 9
  fi
}
