"""Which kernels follow upon each other, and which results say enough of one."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from harness.history import queries
from harness.history.importing import import_run
from harness.history.lineage import lineage_of
from harness.history.selected import UNKNOWN, covers, selected, selected_by
from harness.history.store import Store
from harness.releases import version_key
from tests.unit import samples
from tests.unit.history.conftest import WriteRun


@pytest.mark.parametrize(
    ("spec", "release", "lineage"),
    [
        ("debian:trixie", "6.12.96+deb13-amd64", "6.12 amd64"),
        ("debian:bookworm", "6.1.0-50-amd64", "6.1 amd64"),
        ("debian:sid/cloud", "7.3.4+deb13-cloud-amd64", "7.3 cloud-amd64"),
        ("debian:sid/rt", "7.3.4+deb13-rt-amd64", "7.3 rt-amd64"),
        ("./linux-image.deb", "6.8.0-45-generic", "6.8 generic"),
        ("kernel-core.rpm", "6.12.7-200.fc41.x86_64", "6.12 fc41"),
        ("linux.pkg.tar.zst", "6.12.4-arch1-1", "6.12 arch"),
        ("./bzImage", "7.3.0-rc2-gdeadbeef1234-dirty", "7.3"),
        ("git:/src/linux@0123456789ab", "7.3.4-afalg-a40624dcd862", "7.3 afalg"),
        ("git:/src/linux@v7.3.4", "7.3.4-afalg-a40624dcd862", "7.3 afalg"),
        ("git:/src/linux@master~3", "7.3.4-afalg-a40624dcd862", "7.3 afalg"),
        ("git:/src/linux@my-branch", "", "git:linux@my-branch"),
        ("git:/mnt/linux.git@my-branch", "7.3.4", "git:linux@my-branch"),
        ("git:/src/linux", "7.3.4", "git:linux@HEAD"),
        ("git:/src/linux@0123456789ab", "", ""),
        ("./bzImage", "custom", ""),
    ],
)
def test_lineage(spec: str, release: str, lineage: str) -> None:
    assert lineage_of(spec, release) == lineage


def test_a_tree_whose_name_has_an_at_sign(tmp_path: Path) -> None:
    (tmp_path / "a@b").mkdir()
    assert lineage_of(f"git:{tmp_path}/a@b@next", "") == "git:a@b@next"


def test_versions_in_order() -> None:
    names = ["6.2-amd64", "6.12.9-amd64", "6.12.10-amd64", "7.3-rc1-amd64", "7.3-amd64"]
    assert sorted({*names}, key=version_key) == names


@pytest.mark.parametrize(
    ("stored", "asked", "enough"),
    [
        ("", "", True),
        ("", "zero_copy", True),
        ("zero_copy", "", False),
        ("zero_copy", "zero_copy", True),
        ("policy\nzero_copy", "zero_copy", True),
        ("zero_copy", "policy\nzero_copy", False),
        ("-k x\nzero_copy", "zero_copy", False),
        ("-k x", "-k x", True),
        ("zero_copy", "-k x\nzero_copy", True),
        ("", "-k x", True),
        (UNKNOWN, "", False),
    ],
)
def test_what_a_result_covers(stored: str, asked: str, enough: bool) -> None:
    assert covers(stored, asked) is enough


@pytest.mark.parametrize(
    ("command", "found"),
    [
        ("afalg-harness run debian:sid --jobs 2 --out x", ""),
        ("afalg-harness run debian:sid --suite zero_copy --suite=policy", "policy\nzero_copy"),
        ("afalg-harness run debian:sid -k 'a or b'", "-k a or b"),
        ("afalg-harness run -ka debian:sid", "-k a"),
        ("afalg-harness bisect --good a --bad b", UNKNOWN),
        ("afalg-harness run 'unbalanced", UNKNOWN),
        ("", UNKNOWN),
    ],
)
def test_what_a_command_selected(command: str, found: str) -> None:
    assert selected_by(command) == found


def test_selected() -> None:
    assert selected(("zero_copy", "policy", "policy"), "x") == "policy\nzero_copy\n-k x"


def test_the_last_good_of_a_branch_is_the_newest_run(store: Store, write_run: WriteRun) -> None:
    """Its releases say nothing of what came first."""
    for day, release in enumerate(("7.4.0-rc2-g0000000", "7.4.0-rc1-g1111111"), 1):
        kernel = samples.kernel(release)
        spec = "git:/src/linux@next"
        run = samples.run(replace(kernel, spec=spec))
        import_run(store, write_run(f"run{day}", run, started=f"2026-11-2{day}T10:00:00"))
    found = queries.last_good(store, "git:linux@next")
    assert found is not None and found.run == "run2"
