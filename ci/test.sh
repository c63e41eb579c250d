#!/usr/bin/env bash
# Sets everything up and runs all checks and tests, those that boot kernels included.
# Further arguments go to pytest (for instance: -m "not vm").
set -euo pipefail
cd "$(dirname "$0")/.."
ci/setup.sh --builds
echo "test: formatting, lint, types"
.venv/bin/ruff format --check .
.venv/bin/ruff check .
.venv/bin/mypy
echo "test: unit tests, then real kernels"
# A guest under emulation keeps one core busy. What is said last wins: -n 0 runs them in turn.
exec .venv/bin/pytest --numprocesses=auto --maxprocesses=4 --dist=loadfile "$@"
