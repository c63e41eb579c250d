"""The campaign over Debian's archive, and the page of findings that is made of the store."""

from __future__ import annotations

import os
import signal
import stat
import sys
import threading
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import archive
import archive_findings as findings
import pytest
from archive import Campaign, chosen, spread
from archive_findings import PAGE_CACHE, ZERO_COPY, Kernel, Span, cell, page, sentence, spans

from harness.history import queries
from harness.history.importing import import_run
from harness.history.store import Store
from harness.kernels.archive.debian import ArchiveKernel
from harness.model import Boot, ConsoleEvent, RunResult, State, Status
from harness.report import results_file
from tests import known_truth
from tests.stored_runs import MATRIX, stored_directory
from tests.unit import samples


def kernel_of(version: str, shows: bool | None, hole: str = ZERO_COPY) -> Kernel:
    """A kernel that says that of a hole, and nothing else."""
    return Kernel(
        release=f"{version}+deb13-amd64",
        package=f"{version}-1",
        lineage="6.12 amd64",
        status=Status.COMPLETED,
        reason="",
        holes={} if shows is None else {hole: shows},
        other_failures=(),
        tests=(1, 0, 0),
        boots=1,
        seconds=1.0,
        contradictions=(),
        of_known_truth=False,
    )


def told(*shows: bool | None) -> list[Span]:
    kernels = [kernel_of(f"6.12.{number}", one) for number, one in enumerate(shows)]
    return spans(kernels, ZERO_COPY)


@pytest.mark.parametrize(
    ("shows", "word", "words"),
    [
        ((None, None), "?", None),
        ((True,), "**open**", "open in 6.12.0-1"),
        ((True, True), "**open**", "open in 6.12.0-1 to 6.12.1-1, all 2 that told"),
        ((False, False), "closed", "closed in 6.12.0-1 to 6.12.1-1, all 2 that told"),
        ((True, None, False), "6.12.2-1", "open up to 6.12.0-1, closed from 6.12.2-1 on"),
        (
            (True, False, True, True, False),
            "6.12.4-1 (came back)",
            "open up to 6.12.0-1, closed in 6.12.1-1, open in 6.12.2-1 to 6.12.3-1,"
            " closed from 6.12.4-1 on",
        ),
        ((False, True), "**open again**", "closed up to 6.12.0-1, open from 6.12.1-1 on"),
    ],
)
def test_from_which_version_on(shows: Sequence[bool | None], word: str, words: str | None) -> None:
    found = told(*shows)
    assert cell(found) == word
    if words is not None:
        assert sentence(found) == words


def test_what_tells_most_comes_first() -> None:
    assert spread(list(range(9))) == [8, 0, 4, 2, 6, 1, 3, 5, 7]
    assert spread([1]) == [1]
    assert spread([1, 2]) == [2, 1]
    assert spread([]) == []


@pytest.mark.parametrize("length", range(40))
def test_none_is_left_out(length: int) -> None:
    assert sorted(spread(list(range(length)))) == list(range(length))


def listed(*releases: str) -> list[ArchiveKernel]:
    return [
        ArchiveKernel(release, release, release.partition("-")[2], ("sid",)) for release in releases
    ]


def test_all_amd64_kernels_and_the_newest_others_of_each_series() -> None:
    kernels = listed(
        *(f"6.12.{number}+deb13-amd64" for number in range(8, 15)),
        *(f"6.12.{number}+deb13-cloud-amd64" for number in range(8, 15)),
        *("6.1.9+deb12-rt-amd64", "6.1.10+deb12-rt-amd64", "6.1.10+deb12-amd64"),
    )
    found = [
        kernel.release.replace("+deb13", "").replace("+deb12", "") for kernel in chosen(kernels)
    ]
    assert found[:2] == ["6.1.10-amd64", "6.12.14-amd64"]
    assert found[2:6] == ["6.12.8-amd64", "6.12.11-amd64", "6.1.10-rt-amd64", "6.12.14-cloud-amd64"]
    assert len(found) == 8 + 2
    assert "6.1.9-rt-amd64" not in found


@pytest.fixture(scope="module")
def matrix(tmp_path_factory: pytest.TempPathFactory) -> Store:
    """A store with the run of twelve kernels."""
    place = tmp_path_factory.mktemp("matrix")
    store = Store(f"sqlite:///{place}/runs.sqlite")
    import_run(store, stored_directory(MATRIX, place / "run"))
    return store


def table(text: str, heading: str) -> list[list[str]]:
    """The rows of the table below a heading."""
    _, _, after = text.partition(f"## {heading}\n")
    lines = [line for line in after.partition("\n## ")[0].splitlines() if line.startswith("|")]
    return [[part.strip() for part in line.strip("|").split("|")] for line in lines]


def test_page_of_the_stored_run(matrix: Store) -> None:
    """The known truth can be read off it."""
    text = "\n".join(page(matrix))
    heads, _, *rows = table(text, "From which package version on each hole is closed")
    by_series = {row[0]: dict(zip(heads, row, strict=True)) for row in rows}
    assert by_series["6.12 amd64"][ZERO_COPY] == "6.12.96-1"
    assert by_series["7.1 amd64"][ZERO_COPY] == "7.1.13-1~bpo13+1"
    assert by_series["6.18 amd64"][PAGE_CACHE] == "**open**"
    assert by_series["6.1 amd64"][ZERO_COPY] == "closed"
    assert by_series["6.12 amd64"]["CVE-2026-46033"] == "6.12.95-1"
    assert by_series["7.3 amd64"]["CVE-2026-46033"] == "?"
    assert "- 6.12 amd64: open up to 6.12.95-1, closed from 6.12.96-1 on" in text
    assert "12 kernels; nothing contradicts it" in text
    _, _, *every = table(text, "Every kernel")
    assert len(every) == 12
    assert every[1][:4] == ["6.12.43+deb12-amd64", "6.12.43-1~bpo12+1", "open", "open"]
    assert "- kernels: 12 (12 amd64)" in text
    assert "- boots: 12, " in text


def test_a_boot_that_ended_by_a_fault_of_qemus_contradicts_nothing() -> None:
    """But for what the kernel reported before, and of a guest that was heard."""
    before = ConsoleEvent("warning", "WARNING: at crypto/af_alg.c:1", 0.2)
    int3 = ConsoleEvent("oops", "Oops: int3: 0000 [#1] SMP NOPTI", 0.4)
    heard = Boot(Status.COMPLETED, accel="tcg", identity=samples.new().identity)
    died = Boot(Status.BOOT_FAILED, "it died", "tcg", console_events=(before, int3, int3))
    kernel = replace(samples.new(), boots=(died, heard))
    assert known_truth.reports(kernel) == [before.title]
    same = replace(heard, console_events=(int3,))
    assert known_truth.reports(replace(kernel, boots=(same,))) == [int3.title]
    assert known_truth.reports(replace(kernel, boots=(), console_events=(int3,))) == [int3.title]


def test_what_contradicts_known_truth_is_told(matrix: Store) -> None:
    run = queries.run_result(matrix, queries.runs(matrix)[0].id)
    known = next(kernel for kernel in run.kernels if kernel.release.startswith("6.12.96"))
    good = samples.facts(State.PRESENT, State.ABSENT)
    wrong = findings._kernel(replace(known, facts=good))
    assert wrong.contradictions


def test_page_of_an_empty_store_says_so(tmp_path: Path) -> None:
    text = "\n".join(page(Store(f"sqlite:///{tmp_path}/none.sqlite")))
    assert "- kernels: 0" in text
    assert "## Every kernel" not in text
    assert not (tmp_path / "none.sqlite").exists()


def test_page_names_what_could_not_be_had_and_what_died(tmp_path: Path) -> None:
    store = Store(f"sqlite:///{tmp_path}/runs.sqlite")
    run = replace(samples.run(samples.crashed(), samples.unavailable()), id="1" * 16)
    results_file.save(run, tmp_path / "results.json")
    import_run(store, tmp_path / "results.json")
    text = "\n".join(page(store)).replace("\\", "")
    assert "- debian:6.19.6+deb13-amd64: " in text.partition("could not be had")[2]
    assert "6.12.43-kasan: crashed" in text.partition("did not come to their end")[2]


#: Stands for afalg-harness: writes the run that lies ready for the kernel that is asked for.
_HARNESS = """\
#!{python}
import pathlib, shutil, signal, sys
log = pathlib.Path({place!r}) / "log"
log.open("a").write(" ".join(sys.argv[1:]) + "\\n")
if sys.argv[1] == "run" and sys.argv[2] != "--resume":
    out = pathlib.Path(sys.argv[sys.argv.index("--out") + 1])
    ready = pathlib.Path({place!r}) / (sys.argv[2].removeprefix("debian:") + ".json")
    if not ready.exists():
        sys.exit("afalg-harness: no such kernel")
    out.mkdir(parents=True)
    begun = pathlib.Path({place!r}) / "begun"
    if begun.exists():  # whoever reads it is waited for
        begun.write_text("it runs")
        signal.pause()
    shutil.copy(ready, out / "results.json")
elif sys.argv[1] == "run":
    out = pathlib.Path(sys.argv[3])
    shutil.copy(pathlib.Path({place!r}) / (out.name + ".json"), out / "results.json")
"""


def run_of(release: str, *, ended: str = "2026-11-23T11:00:00+00:00") -> RunResult:
    kernel = replace(samples.new(), release=release, spec=f"debian:{release}")
    return replace(
        samples.run(kernel),
        id=release.encode().hex()[:16],
        command=f"afalg-harness run debian:{release}",
        ended=ended,
    )


class Place:
    """A campaign whose kernels need no guests."""

    def __init__(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.store = Store(f"sqlite:///{tmp_path}/runs.sqlite")
        self.out = tmp_path / "out"
        self._place = tmp_path
        program = tmp_path / "afalg-harness"
        program.write_text(_HARNESS.format(python=sys.executable, place=str(tmp_path)))
        program.chmod(program.stat().st_mode | stat.S_IXUSR)
        monkeypatch.setattr(archive, "_harness", lambda: str(program))

    def offer(self, *releases: str) -> list[ArchiveKernel]:
        for release in releases:
            results_file.save(run_of(release), self._place / f"{release}.json")
        return listed(*releases)

    @property
    def commands(self) -> list[str]:
        return (self._place / "log").read_text().splitlines()

    def campaign(self, *, hours: float = 1.0, keep: bool = False) -> Campaign:
        return Campaign(
            store=self.store.url,
            out=self.out,
            deadline=time.monotonic() + hours * 3600,
            further=["--confirm", "0"],
            keep=keep,
            cache=self._place / "cache",
        )

    def stored(self) -> set[str]:
        return {result.release for result in queries.results(self.store)}


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Place:
    return Place(tmp_path, monkeypatch)


def test_each_kernel_is_stored_as_it_ends(place: Place) -> None:
    kernels = place.offer("6.12.1-amd64", "6.12.2-amd64", "6.12.3-amd64")
    campaign = place.campaign()
    campaign.run(kernels, jobs=2)
    assert place.stored() == {kernel.release for kernel in kernels}
    assert not campaign.failed
    runs = [line for line in place.commands if line.startswith("run ")]
    assert all("--confirm 0" in line for line in runs)
    assert len(runs) == 3
    # What has served goes: run directories, and what was fetched.
    assert not list(place.out.iterdir())
    assert sum("cache prune" in line for line in place.commands) == 3


def test_what_is_kept_stays(place: Place) -> None:
    campaign = place.campaign(keep=True)
    campaign.run(place.offer("6.12.1-amd64"), jobs=1)
    assert (place.out / "6.12.1-amd64/results.json").exists()
    assert not any("prune" in line for line in place.commands)


def test_one_that_fails_stops_no_other(place: Place, capsys: pytest.CaptureFixture[str]) -> None:
    kernels = [*listed("6.12.0-amd64"), *place.offer("6.12.1-amd64")]
    campaign = place.campaign()
    campaign.run(kernels, jobs=1)
    assert place.stored() == {"6.12.1-amd64"}
    assert campaign.failed == ["6.12.0-amd64"]
    assert "no such kernel" in capsys.readouterr().out


def test_an_interrupted_run_is_gone_on_with(place: Place) -> None:
    kernels = place.offer("6.12.1-amd64")
    begun = place.out / "6.12.1-amd64"
    begun.mkdir(parents=True)
    results_file.save(run_of("6.12.1-amd64", ended=""), begun / "results.json")
    place.campaign().run(kernels, jobs=1)
    assert place.commands[0].startswith(f"run --resume {begun}")
    assert place.stored() == {"6.12.1-amd64"}


def test_a_signal_ends_what_runs(place: Place, tmp_path: Path) -> None:
    """Sent to the campaign alone: no run stays behind, and none is begun."""
    kernels = place.offer("6.12.1-amd64", "6.12.2-amd64")
    os.mkfifo(tmp_path / "begun")
    campaign = place.campaign()
    running = threading.Thread(target=campaign.run, args=(kernels, 1))
    running.start()
    (tmp_path / "begun").read_text()
    campaign.interrupt(signal.SIGTERM, None)
    running.join(60)
    assert not running.is_alive()
    assert campaign.interrupted
    assert [line.split()[:2] for line in place.commands] == [["run", "debian:6.12.1-amd64"]]


def test_nothing_begins_without_time(place: Place) -> None:
    campaign = place.campaign(hours=-1)
    campaign.run(place.offer("6.12.1-amd64"), jobs=1)
    assert place.stored() == set()
    assert not place.out.exists()
    assert not campaign.failed


def test_what_is_stored_is_left_out(
    place: Place,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
) -> None:
    """A second campaign runs nothing, and --suite asks for another one."""
    kernels = place.offer("6.12.1-amd64", "6.12.2-amd64")
    monkeypatch.setattr(archive, "available", lambda _sources, _progress: tuple(kernels))
    words = ["--store", place.store.name, "--out", str(place.out), "--cache", str(tmp_path / "c")]
    words += ["--page", str(tmp_path / "docs/page.md")]

    def call(*more: str) -> str:
        monkeypatch.setattr(sys, "argv", ["archive.py", *words, *more])
        assert archive.main() == 0
        return capsys.readouterr().out

    assert "2 kernels, 1 of them to run" in call("--limit", "1")
    assert place.stored() == {"6.12.2-amd64"}
    assert "2 kernels, 1 of them to run" in call()
    assert "- kernels: 2" in (tmp_path / "docs/page.md").read_text()
    assert "2 kernels, 0 of them to run" in call()
    assert "2 kernels, 0 of them to run" in call("--list", "--suite", "zero_copy")
