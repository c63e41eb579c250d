#!/usr/bin/env bash
# Sets everything up and runs the main job: a kernel from before AF_ALG lost its zero-copy
# against Debian's newest. Further arguments go to "afalg-harness run".
set -euo pipefail
"$(dirname "$0")/setup.sh"
exec "$(dirname "$0")/../.venv/bin/afalg-harness" run \
    debian:6.12.43+deb12-amd64 debian:trixie-backports --jobs 2 "$@"
