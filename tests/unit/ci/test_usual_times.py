"""Which tests are told to take long, from stored runs."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import usual_times

from harness.guest.patience import Times
from harness.model import Outcome, TestResult
from harness.report import results_file
from tests.unit import samples


def test_the_most_of_any_kernel_counts_and_of_files_the_median(tmp_path: Path) -> None:
    quick, slow = "functional/test_x.py::test_quick", "functional/test_x.py::test_slow"
    seen = {
        "one": [(f"{slow}[1]", Outcome.PASSED, 1.23), (quick, Outcome.PASSED, 0.1)],
        "two": [
            (f"{slow}[2]", Outcome.SKIPPED, 0.5),
            (quick, Outcome.TIMEOUT, 30.0),  # says nothing of how long it takes
            ("mine/test_y.py::test_it", Outcome.PASSED, 9.0),
        ],
    }
    for name, tests in seen.items():
        results = tuple(TestResult(test, outcome, seconds) for test, outcome, seconds in tests)
        kernel = replace(samples.kernel(name), tests=results)
        (tmp_path / name).mkdir()
        run = replace(samples.run(), kernels=(kernel,))
        results_file.save(run, tmp_path / name / results_file.FILE_NAME)
    found = usual_times.times([tmp_path / "one", tmp_path / "two"])
    assert found == Times({slow: 1.2}, {"functional/test_x.py": 0.92})
