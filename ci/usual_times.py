"""Make harness/guest/usual_times.json anew: how long tests of ours take, from stored runs.

    python ci/usual_times.py RUN...

Each RUN is a run directory; all kernels count, for a test may have to wait on one alone. To be
run when tests were added or changed that take long. One that is missing there is taken to hang
after some seconds in an idle guest (harness/guest/patience.py).
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

from harness.files import write_whole
from harness.guest.patience import TIMES, TOLD_FROM
from harness.model import Outcome
from harness.report.results_file import load
from harness.suites import suite_names

#: Outcomes of a test that came to its end by itself.
_BY_ITSELF = (Outcome.PASSED, Outcome.FAILED, Outcome.SKIPPED)


def times(runs: list[Path]) -> dict[str, float]:
    """The most seconds that a test of each function took, of those that matter."""
    ours = suite_names()
    most: dict[str, float] = {}
    for path in runs:
        for kernel in load(path).kernels:
            for test in kernel.tests:
                if test.outcome in _BY_ITSELF and test.id.partition("/")[0] in ours:
                    function = test.id.partition("[")[0]
                    most[function] = max(most.get(function, 0.0), test.seconds)
    return {name: round(most[name], 1) for name in sorted(most) if most[name] >= TOLD_FROM}


def main() -> None:
    """Write the file."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("runs", nargs="+", type=Path, metavar="RUN")
    found = times(parser.parse_args().runs)
    write_whole(TIMES, json.dumps(found, indent=1) + "\n")
    print(f"{TIMES}: {len(found)} functions")


if __name__ == "__main__":
    main()
