"""Debian's kernels of every generation boot, however they are packaged.

Up to 6.18 one package holds a kernel; later it is split, and superseded module packages
are in the pool only. A cloud kernel, which lacks 9p and has ext4 built in: test_install.py.
"""

from __future__ import annotations

import pytest

from harness.model import Outcome, Status

from .conftest import GENERATIONS, Finished

#: Its package of modules is no longer in the signed index.
_FROM_THE_POOL = "7.0.13+deb13-amd64"


@pytest.mark.parametrize("release", GENERATIONS)
def test_it_boots_and_runs_the_suite(generations: Finished, release: str) -> None:
    kernel = generations.kernel(f"debian:{release}")
    assert kernel.status is Status.COMPLETED, kernel.status_reason
    assert kernel.identity is not None
    assert kernel.identity.release == release
    assert kernel.taint == 0
    outcomes = {test.outcome for test in kernel.tests if test.id.startswith("functional/")}
    assert Outcome.PASSED in outcomes
    assert outcomes <= {Outcome.PASSED, Outcome.SKIPPED}


def test_files_outside_the_signed_index_are_named(generations: Finished) -> None:
    kernel = generations.kernel(f"debian:{_FROM_THE_POOL}")
    trust = {package.name: package.trust for package in kernel.packages}
    assert trust[f"linux-modules-{_FROM_THE_POOL}"] == "outside the signed index"
    assert trust[f"linux-binary-{_FROM_THE_POOL}"] == "signed index"
    assert f"linux-modules-{_FROM_THE_POOL}" in " ".join(kernel.notes)
    assert "outside the signed index" in (generations.out / "summary.md").read_text()
