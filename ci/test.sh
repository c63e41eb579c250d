#!/usr/bin/env bash
# Sets everything up and runs all checks and tests, those that boot kernels included.
# Further arguments go to pytest (for instance: -m "not vm").
#
#   ci/test.sh [--unchecked] [ARGUMENT ...]
#
# --unchecked leaves out formatting, lint and types.
set -euo pipefail
cd "$(dirname "$0")/.."
ci/setup.sh --builds
if [ "${1-}" = --unchecked ]; then
    shift
else
    echo "test: formatting, lint, types"
    .venv/bin/ruff format --check .
    .venv/bin/ruff check .
    .venv/bin/mypy
fi
echo "test: real kernels, then unit tests"
# A guest under emulation keeps one core busy. What is said last wins: -n 0 runs them in turn.
# Files begin in the order that tests/conftest.py gives them, those that take longest first.
exec .venv/bin/pytest --numprocesses=auto --maxprocesses=4 \
    --dist=loadfile --no-loadscope-reorder "$@"
