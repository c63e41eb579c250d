#!/usr/bin/env bash
# Tests a series of patches, as b4 has it from a mailing list, against what it is based on: both
# are built, booted and compared, and the answer is also there as a mail to reply with.
#
#   ci/b4/check-series.sh [--base REV] [--mbox FILE] MESSAGE-ID [ARGUMENT of run ...]
#
# To be called in a clone of the kernel, whose branches and files stay as they are. The base is
# the commit that the series names, unless it is told, else what is checked out. Takes b4, and
# the packages of "ci/setup.sh --builds". Exit codes are those of "afalg-harness run".
set -euo pipefail
top=$(cd "$(dirname "$0")/../.." && pwd)
harness=$top/.venv/bin/afalg-harness
[ -x "$harness" ] || harness=afalg-harness

usage() {
    echo "usage: check-series.sh [--base REV] [--mbox FILE] MESSAGE-ID [ARGUMENT of run ...]" >&2
    exit 2
}

wrong() { # CODE TEXT
    echo "check-series: $2" >&2
    exit "$1"
}

base=
from=()
while [ $# -gt 0 ]; do
    case $1 in
    --base) base=${2:?} ;;
    --mbox) from=(-m "${2:?}") ;;
    -*) usage ;;
    *) break ;;
    esac
    shift 2
done
[ $# -gt 0 ] || usage
message=$1
shift
command -v b4 >/dev/null || wrong 3 "b4 is not installed"
tree=$(git rev-parse --show-toplevel 2>/dev/null) || wrong 2 "this is no git tree"

scratch=$(mktemp -d)
trap 'git -C "$tree" worktree remove --force "$scratch/tree" 2>/dev/null || true; rm -rf "$scratch"' EXIT
b4 am -o "$scratch" -n series ${from[@]+"${from[@]}"} -- "$message" >&2 ||
    wrong 3 "b4 could not fetch $message"
[ -s "$scratch/series.mbx" ] || wrong 2 "there are no patches in $message"
if [ -z "$base" ]; then
    base=$(cat "$scratch"/series.* | sed -n 's/^base-commit: *\([0-9a-f]\{40\}\).*/\1/p' | head -n 1)
    base=${base:-HEAD}
fi
base=$(git -C "$tree" rev-parse --verify --quiet "$base^{commit}") ||
    wrong 2 "this tree does not have the base; fetch it, or name another with --base"
git -C "$tree" worktree add --quiet --detach "$scratch/tree" "$base" >&2
git -C "$scratch/tree" am --quiet "$scratch/series.mbx" >&2 ||
    wrong 2 "the series does not apply to $base"
series=$(git -C "$scratch/tree" rev-parse HEAD)

out=afalg-series-${series:0:12}
code=0
"$harness" run "$@" "--out=$out" "git:$tree@$base" "git:$tree@$series" || code=$?
if [ -f "$out/results.json" ]; then
    "$harness" report -q "$out" --format mail || true
    echo "check-series: a mail to reply with is $out/report.eml" >&2
fi
if [ $code -eq 1 ]; then
    echo "check-series: which patch it was: $harness bisect --good $base --bad $series" \
        "--among git:$tree --check CHECK" >&2
fi
exit $code
