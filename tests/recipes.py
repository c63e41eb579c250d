"""What the recipes for CI servers are run with in tests: a checkout whose harness boots nothing."""

from __future__ import annotations

import json
import os
import shutil
import sys
from dataclasses import dataclass
from pathlib import Path

from tests.stored_runs import MATRIX, stored_text

CI = Path(__file__).resolve().parents[1] / "ci"
#: Of the stored kernels, the last with zero-copy, and the first without.
BEFORE, AFTER = "6.12.95+deb13-amd64", "6.12.96+deb13-amd64"
HARNESS = Path(sys.executable).parent / "afalg-harness"
#: Instead of a run there is a stored one; everything else is done by the harness itself.
_STUB = f"""#!/bin/sh
printf '%s\\n' "$@" >>"$STARTED"
case $1 in
run)
    for word; do case $word in --out=*) out=${{word#--out=}} ;; esac; done
    echo '::error::said by a kernel'
    [ -z "$STORED" ] || {{ mkdir -p "$out" && cp "$STORED/results.json" "$out"; }}
    exit "${{RUN_EXIT-0}}"
    ;;
kernels) ;;
*) exec '{HARNESS}' "$@" ;;
esac
"""


@dataclass(frozen=True)
class Checkout:
    """A clone of this repository, as a CI server's job has it."""

    top: Path

    @property
    def started(self) -> list[str]:
        """The words by which the harness was called, in their order."""
        return self._lines("started")

    @property
    def set_up(self) -> list[str]:
        """With what ci/setup.sh was called."""
        return self._lines("set-up")

    def environment(self, **more: str) -> dict[str, str]:
        """What the stubs need; RUN_EXIT is the exit code of a run, STORED what it stores."""
        told = {"STARTED": str(self.top / "started"), "SET_UP": str(self.top / "set-up")}
        return {**told, "STORED": "", **more}

    def _lines(self, name: str) -> list[str]:
        path = self.top / name
        return path.read_text().splitlines() if path.exists() else []


def make_checkout(place: Path) -> Checkout:
    """A checkout below ``place``, with stubs for what sets up and for what boots."""
    top = place / "afalg harness"  # a path with a space is a path like any other
    shutil.copytree(CI, top / "ci", ignore=shutil.ignore_patterns("__pycache__"))
    for name, text in {
        "ci/setup.sh": '#!/bin/sh\necho "$@" >>"$SET_UP"\nexit ${SETUP_EXIT-0}\n',
        ".venv/bin/afalg-harness": _STUB,
    }.items():
        script = top / name
        script.parent.mkdir(parents=True, exist_ok=True)
        script.write_text(text)
        script.chmod(0o755)
    return Checkout(top)


def store(place: Path, release: str) -> Path:
    """A run directory of one of the stored kernels alone, as a candidate."""
    result = json.loads(stored_text(MATRIX))
    (kernel,) = [kernel for kernel in result["kernels"] if kernel["release"] == release]
    result |= {"kernels": [kernel | {"role": "candidate"}], "comparisons": []}
    place.mkdir(parents=True)
    (place / "results.json").write_text(json.dumps(result))
    return place


def machine(**more: str) -> dict[str, str]:
    """What a job's processes have of this machine's environment, and ``more``."""
    kept = (
        "HOME",
        "LANG",
        "PATH",
        "PYTHONPATH",
        "TMPDIR",
        "AFALG_CACHE",
        "AFALG_MIRROR",
        "AFALG_STORE",
    )
    return {name: os.environ[name] for name in kept if name in os.environ} | more
