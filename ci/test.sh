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
exec .venv/bin/pytest "$@"
