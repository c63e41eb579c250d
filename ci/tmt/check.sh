#!/usr/bin/env bash
# The test in test.fmf. tmt takes 0 for passed, 1 for failed, all else for an error.
set -uo pipefail
top=$(cd "$(dirname "$0")/../.." && pwd) || exit 3
if ! [ -x "$top/.venv/bin/afalg-harness" ] && ! command -v afalg-harness >/dev/null; then
    python3 -m venv "$top/.venv" && "$top/.venv/bin/pip" install --quiet "$top" || {
        echo "afalg: infrastructure (3): the harness could not be installed" >&2
        exit 3
    }
fi
export AFALG_OUT=$TMT_TEST_DATA/afalg-run
exec "$top/ci/check-kernels.sh"
