"""Debian's kernels of every generation boot, however they are packaged.

Up to 6.18 one package holds a kernel; later it is split, and superseded module packages
are in the pool only. Cloud kernels lack 9p and have ext4 built in.
"""

from __future__ import annotations

import pytest

from harness.model import Outcome, Status

from .conftest import Finished, execute

_RELEASES = [
    "6.1.0-50-amd64",
    "6.1.0-50-cloud-amd64",
    "6.12.43+deb12-cloud-amd64",
    "6.18.15+deb13-amd64",
    "6.19.14+deb13-amd64",
    "7.0.13+deb13-amd64",
    "7.1.13+deb13-cloud-amd64",
    "7.3.4+deb13-cloud-amd64",
]
#: Their module packages are no longer in the signed index.
_FROM_THE_POOL = {"6.19.14+deb13-amd64", "7.0.13+deb13-amd64", "7.1.13+deb13-cloud-amd64"}


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Finished:
    """One run of them all with one test file, for boots are what is looked at."""
    out = tmp_path_factory.mktemp("generations") / "run"
    specs = [f"debian:{release}" for release in _RELEASES]
    return execute(out, *specs, "--jobs", "2", "--suite", "functional/test_hash.py")


@pytest.mark.parametrize("release", _RELEASES)
def test_it_boots_and_runs_the_suite(finished: Finished, release: str) -> None:
    kernel = finished.kernel(f"debian:{release}")
    assert kernel.status is Status.COMPLETED, kernel.status_reason
    assert kernel.identity is not None
    assert kernel.identity.release == release
    assert kernel.taint == 0
    outcomes = {test.outcome for test in kernel.tests}
    assert Outcome.PASSED in outcomes
    assert outcomes <= {Outcome.PASSED, Outcome.SKIPPED}


@pytest.mark.parametrize("release", sorted(_FROM_THE_POOL))
def test_files_outside_the_signed_index_are_named(finished: Finished, release: str) -> None:
    kernel = finished.kernel(f"debian:{release}")
    trust = {package.name: package.trust for package in kernel.packages}
    assert trust[f"linux-modules-{release}"] == "outside the signed index"
    assert trust[f"linux-binary-{release}"] == "signed index"
    assert f"linux-modules-{release}" in " ".join(kernel.notes)
    assert "outside the signed index" in (finished.out / "summary.md").read_text()
