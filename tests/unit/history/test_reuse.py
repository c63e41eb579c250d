"""Which stored results stand in for a boot, and what becomes of them in a run."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from harness.history import queries
from harness.history.importing import import_run
from harness.history.reuse import Wanted, reuse
from harness.history.store import Store
from harness.judge.expectations import load_expectations
from harness.judge.verdict import judge
from harness.model import (
    Boot,
    BootableKernel,
    HostInfo,
    KernelIdentity,
    KernelResult,
    Reused,
    Revisions,
    RunResult,
    Status,
    Verdict,
)
from tests.unit import samples
from tests.unit.history.conftest import WriteRun

_KEY = "0123456789abcdef"
_REVISIONS = Revisions(harness="0.1", suite="s" * 64, image="image", own_suites=("mine=ff",))
_SETTINGS = "--suite zero_copy --append quiet"
_CONSOLE = b"\xff\0booted\n"


def _kernel(**changes: Any) -> KernelResult:
    """A result that can be reused."""
    known: dict[str, Any] = {
        "kernel": KernelIdentity(build_id="ff", key=_KEY),
        "append": ("quiet",),
        "settings": _SETTINGS,
        "boots": (Boot(Status.COMPLETED, accel="tcg", identity=samples.new().identity),),
        "verdict": Verdict(ok=False, reasons=("x",)),
        "directory": f"kernels/{samples.new().release}",
    }
    return replace(samples.new(), **(known | changes))


def _run(kernel: KernelResult, **changes: Any) -> RunResult:
    host = HostInfo("tcg", "", "7.2", "1.42", 2)
    known: dict[str, Any] = {
        "host": host,
        "revisions": _REVISIONS,
        "ended": "2026-11-26T10:01:00+00:00",
    }
    judged = samples.run(samples.old(), kernel)
    return replace(judged, **({"kernels": (judged.kernels[0], kernel)} | known | changes))


def _wanted(**changes: Any) -> Wanted:
    release = samples.new().release
    image = Path("/k")
    known: dict[str, Any] = {
        "kernel": BootableKernel("debian:x", release, image, None, None, None, key=_KEY),
        "revisions": _REVISIONS,
        "host": HostInfo("tcg", "", "7.2", "1.42", 8),
        "append": ("quiet",),
        "settings": _SETTINGS,
    }
    return Wanted(**(known | changes))


def _keep(store: Store, write_run: WriteRun, run: RunResult, name: str = "one") -> None:
    place = write_run(name, run)
    files = place / "kernels" / samples.new().release
    files.mkdir(parents=True, exist_ok=True)
    (files / "console.log").write_bytes(_CONSOLE)
    (place / "kernels/other").mkdir(exist_ok=True)
    (place / "kernels/other/console.log").write_bytes(b"another kernel's")
    import_run(store, place)


def test_a_result_is_taken_whole(store: Store, write_run: WriteRun, tmp_path: Path) -> None:
    run = _run(_kernel(transcripts={"recv": "0"}))
    _keep(store, write_run, run)
    out = tmp_path / "out"
    out.mkdir()
    found = reuse(store, _wanted(), lambda: out)
    assert found == replace(run.kernels[1], reused=Reused("one", run.started))
    assert [path.name for path in out.iterdir()] == ["console.log"]
    assert (out / "console.log").read_bytes() == _CONSOLE


def test_kernels_are_looked_for_at_once(
    store: Store, write_run: WriteRun, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Each by a thread of its own, in a store that others have asked as well."""
    _keep(store, write_run, _run(_kernel()))
    assert queries.runs(store)
    with ThreadPoolExecutor(3) as threads:
        together = threading.Barrier(3)

        def look(_: int) -> KernelResult | None:
            together.wait(60)
            return reuse(store, _wanted(), lambda: tmp_path)

        found = list(threads.map(look, range(3)))
    assert None not in found
    assert capsys.readouterr().err == ""


def test_the_newest_one_is_taken(store: Store, write_run: WriteRun, tmp_path: Path) -> None:
    for name, started in (("new", "2026-11-26T12:00:00"), ("old", "2026-11-25T12:00:00")):
        _keep(store, write_run, _run(_kernel(), started=started), name)
    found = reuse(store, _wanted(), lambda: tmp_path)
    assert found is not None
    assert found.reused == Reused("new", "2026-11-26T12:00:00")


@pytest.mark.parametrize(
    "other",
    [
        {"revisions": replace(_REVISIONS, suite="t" * 64)},
        {"revisions": replace(_REVISIONS, own_suites=())},
        {"revisions": replace(_REVISIONS, image="another")},
        {"revisions": replace(_REVISIONS, harness="0.2")},
        {"append": ()},
        {"settings": "--append quiet"},
        {"host": HostInfo("kvm", "", "7.2", "1.42", 8)},
        {"host": HostInfo("tcg", "", "10.0", "1.42", 8)},
        {"host": HostInfo("tcg", "", "7.2", "1.43", 8)},
        {"kernel": replace(_wanted().kernel, key="another")},
        {"kernel": replace(_wanted().kernel, key="")},
        {"kernel": replace(_wanted().kernel, release="6.1")},
    ],
)
def test_what_is_not_the_same_is_booted(
    store: Store, write_run: WriteRun, tmp_path: Path, other: dict[str, Any]
) -> None:
    _keep(store, write_run, _run(_kernel()))
    assert reuse(store, _wanted(), lambda: tmp_path) is not None
    assert reuse(store, _wanted(**other), lambda: tmp_path) is None


def _boot(**changes: Any) -> tuple[Boot, ...]:
    return tuple(replace(boot, **changes) for boot in _kernel().boots)


@pytest.mark.parametrize(
    "kernel",
    [
        _kernel(status=Status.INTERRUPTED),
        _kernel(status=Status.BOOT_FAILED),
        _kernel(status=Status.UNAVAILABLE),
        _kernel(status=Status.INTERRUPTED, status_exit=3),
        _kernel(tests=samples.new().tests[1:]),
        _kernel(records_lost=1),
        _kernel(collection_errors=("x",)),
        _kernel(verdict=Verdict(ok=False, reasons=("x",), unknown=True)),
        _kernel(boots=()),
        _kernel(boots=_boot(killed=True)),
        _kernel(boots=_boot(stopped=True)),
        _kernel(boots=_boot(accel="kvm")),
        _kernel(kernel=None),
        _kernel(kernel=KernelIdentity(build_id="ff")),  # of a version that kept no key
        _kernel(reused=Reused("zero", "2026-11-24")),
    ],
)
def test_what_is_no_whole_result_is_not_taken(
    store: Store, write_run: WriteRun, tmp_path: Path, kernel: KernelResult
) -> None:
    _keep(store, write_run, _run(kernel))
    assert (
        reuse(store, _wanted(kernel=replace(_wanted().kernel, key=_KEY)), lambda: tmp_path) is None
    )


def test_a_run_that_did_not_end_is_none(store: Store, write_run: WriteRun, tmp_path: Path) -> None:
    _keep(store, write_run, _run(_kernel(), ended=""))
    assert reuse(store, _wanted(), lambda: tmp_path) is None


@pytest.mark.parametrize("status", [Status.CRASHED, Status.HUNG])
def test_a_crash_is_a_result(
    store: Store, write_run: WriteRun, tmp_path: Path, status: Status
) -> None:
    _keep(store, write_run, _run(_kernel(status=status)))
    assert reuse(store, _wanted(), lambda: tmp_path) is not None


def test_a_store_that_cannot_be_used(
    store: Store, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "runs.sqlite").write_bytes(b"no database" * 100)
    assert reuse(store, _wanted(), lambda: tmp_path) is None
    said = capsys.readouterr().err.splitlines()
    assert len(said) == 1 and "is reused" in said[0] and "runs.sqlite" in said[0]


def test_nothing_is_stored_yet(store: Store, tmp_path: Path) -> None:
    assert reuse(store, _wanted(), lambda: tmp_path) is None


def test_what_was_reused_is_no_further_observation(
    store: Store, write_run: WriteRun, tmp_path: Path
) -> None:
    """Its outcomes count once, and it is not what others are held against, or reused."""
    _keep(store, write_run, _run(_kernel()))
    found = reuse(store, _wanted(), lambda: tmp_path)
    assert found is not None
    before = queries.line(store, samples.SHA256_TEST)
    good = queries.last_good_results(store)
    _keep(store, write_run, _run(found, started="2026-11-27T10:00:00"), "two")
    assert [one.run for one in queries.line(store, samples.SHA256_TEST, release=found.release)] == [
        one.run for one in before if one.release == found.release
    ]
    mine = {one.run for one in queries.last_good_results(store) if one.release == found.release}
    assert mine == {one.run for one in good if one.release == found.release}
    again = reuse(store, _wanted(), lambda: tmp_path)
    assert again is not None and again.reused == found.reused
    assert queries.run_result(store, "two").kernels[1].reused == found.reused


def test_the_verdict_says_so(store: Store) -> None:
    reused = replace(_kernel(), reused=Reused("one", "2026-11-26T10:00:00+00:00"))
    notes = judge(reused, load_expectations(None, ())).notes
    assert any(
        note.startswith("not booted in this run: result of run one of 2026-11-26") for note in notes
    )
