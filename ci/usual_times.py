"""Make harness/guest/usual_times.json anew: how long tests of ours take, from stored runs.

    python ci/usual_times.py RUN...

Each RUN is a run directory; all kernels count, for a test may have to wait on one alone. To be
run when tests were added or changed that take long. One that is missing there is taken to hang
after some seconds in an idle guest (harness/guest/patience.py), and a file that is missing is
never given to a second guest (harness/sharing.py).
"""

from __future__ import annotations

import argparse
import json
import statistics
from collections import defaultdict
from dataclasses import asdict
from pathlib import Path

from harness.files import write_whole
from harness.guest.patience import TIMES, TOLD_FROM, Times
from harness.model import Outcome
from harness.report.results_file import load
from harness.suites import suite_names

#: Outcomes of a test that came to its end by itself.
_BY_ITSELF = (Outcome.PASSED, Outcome.FAILED, Outcome.SKIPPED)


def times(runs: list[Path]) -> Times:
    """The most that a test of each function took, of those that matter; of each file the median."""
    ours = suite_names()
    most: defaultdict[str, float] = defaultdict(float)
    files: defaultdict[str, list[float]] = defaultdict(list)
    for kernel in (kernel for path in runs for kernel in load(path).kernels):
        whole: defaultdict[str, float] = defaultdict(float)
        for test in kernel.tests:
            if test.outcome in _BY_ITSELF and test.id.partition("/")[0] in ours:
                function, file = test.id.partition("[")[0], test.id.partition("::")[0]
                most[function] = max(most[function], test.seconds)
                whole[file] += test.seconds
        for file, seconds in whole.items():
            files[file].append(seconds)
    return Times(
        {name: round(most[name], 1) for name in sorted(most) if most[name] >= TOLD_FROM},
        {name: round(statistics.median(files[name]), 2) for name in sorted(files)},
    )


def main() -> None:
    """Write the file."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("runs", nargs="+", type=Path, metavar="RUN")
    found = times(parser.parse_args().runs)
    write_whole(TIMES, json.dumps(asdict(found), indent=1) + "\n")
    print(f"{TIMES}: {len(found.functions)} functions, {len(found.files)} files")


if __name__ == "__main__":
    main()
