"""Which kernels a validation takes, and what each is held against."""

from __future__ import annotations

import datetime
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from harness import cli
from harness.commands.actions import validate
from harness.errors import ExitCode, InputError
from harness.history import queries
from harness.history.importing import import_run
from harness.history.store import Store
from harness.history.validation import baseline_of, built_on, new_kernels
from harness.kernels.archive.debian import ArchiveKernel
from harness.model import Role, RunResult, State
from harness.report import results_file
from harness.run_options import RunOptions
from tests import documented
from tests.unit import samples
from tests.unit.history.conftest import WriteRun

VERSIONS = ("6.12.94", "6.12.95", "6.12.96", "6.12.113", "6.12.117")


def release(version: str, flavour: str = "amd64") -> str:
    return f"{version}+deb13-{flavour}"


def listed(*versions: str, flavour: str = "amd64") -> list[ArchiveKernel]:
    """Kernels of one suite, as the archive lists them: newest first."""
    return [
        ArchiveKernel(release(version, flavour), f"{version}-1", flavour, ("trixie-security",))
        for version in reversed(versions)
    ]


OFFERED = listed(*VERSIONS)


def never(kernel: ArchiveKernel) -> datetime.date | None:
    raise AssertionError(f"{kernel.release} was fetched for its date")


def of(version: str, *, good: bool = True, flavour: str = "amd64") -> RunResult:
    """A run of one kernel, good or one that shares pages."""
    state = State.ABSENT if good else State.PRESENT
    kernel = samples.kernel(release(version, flavour))
    return samples.run(replace(kernel, facts=samples.facts(state, State.ABSENT)))


@pytest.fixture
def stored(store: Store, write_run: WriteRun) -> Callable[[str, RunResult], None]:
    """Puts a run into the store under an id."""

    def add(name: str, run: RunResult) -> None:
        command = f"afalg-harness run {run.kernels[0].spec}"
        import_run(store, write_run(name, run, command=command))

    return add


Stored = Callable[[str, RunResult], None]


def new(store: Store, since: str, built: object = never) -> list[str]:
    """The versions that are new."""
    found = new_kernels(OFFERED, since, store, "", built)  # type: ignore[arg-type]
    return [kernel.release.partition("+")[0] for kernel in found]


@pytest.mark.parametrize(
    ("since", "expected"),
    [
        ("6.12.95", ["6.12.96", "6.12.113", "6.12.117"]),
        ("6.12.95-1", ["6.12.96", "6.12.113", "6.12.117"]),
        ("6.12.95+deb13-amd64", ["6.12.96", "6.12.113", "6.12.117"]),
        ("debian:6.12.95+deb13-amd64", ["6.12.96", "6.12.113", "6.12.117"]),
        ("6.12.100", ["6.12.113", "6.12.117"]),  # which the archive does not have
        ("6.12.117", []),
        ("6.12", []),  # all of them are of 6.12
        ("6.1", list(VERSIONS)),
    ],
)
def test_newer_than_a_version(store: Store, since: str, expected: list[str]) -> None:
    """Oldest first, without what carries that very version, and 6.12.113 after 6.12.96."""
    assert new(store, since) == expected


def test_what_is_in_the_store_is_not_new(store: Store, stored: Stored) -> None:
    stored("a" * 16, of("6.12.113"))
    assert new(store, "6.12.95") == ["6.12.96", "6.12.117"]


def test_a_run_of_some_tests_is_no_validation(store: Store, write_run: WriteRun) -> None:
    command = "afalg-harness run debian:x --suite zero_copy"
    import_run(store, write_run("part", of("6.12.113"), command=command))
    assert "6.12.113" in new(store, "6.12.95")
    found = new_kernels(OFFERED, "6.12.95", store, "zero_copy", never)
    assert release("6.12.113") not in [kernel.release for kernel in found]


def test_newer_than_the_newest_kernel_of_a_run(store: Store, stored: Stored) -> None:
    stored("abc123", of("6.12.96", good=False))
    assert new(store, "abc1") == ["6.12.113", "6.12.117"]
    with pytest.raises(InputError, match="no such run"):
        new(store, "feed")


def test_a_run_of_another_flavour_says_nothing(store: Store, stored: Stored) -> None:
    stored("abc123", of("6.12.96", flavour="cloud-amd64"))
    with pytest.raises(InputError, match="no kernel of flavour amd64"):
        new(store, "abc123")


def test_newer_than_the_last_one(store: Store, stored: Stored) -> None:
    """A cron job's first call takes the newest, and each other what came since."""
    assert new(store, "last") == ["6.12.117"]
    stored("a" * 16, of("6.12.95"))
    assert new(store, "last") == ["6.12.96", "6.12.113", "6.12.117"]
    stored("b" * 16, of("6.12.117"))
    assert new(store, "last") == []


def test_built_since_a_day(store: Store) -> None:
    """Only as many are fetched as tell where to stop."""
    days = dict(zip(VERSIONS, (1, 5, 9, 20, 25), strict=True))
    asked: list[str] = []

    def built(kernel: ArchiveKernel) -> datetime.date:
        version = kernel.release.partition("+")[0]
        asked.append(version)
        return datetime.date(2026, 11, days[version])

    assert new(store, "2026-11-20", built) == ["6.12.113", "6.12.117"]
    assert asked == ["6.12.117", "6.12.113", "6.12.96"]
    with pytest.raises(InputError, match="no such day"):
        new(store, "2026-11-31", built)


def test_the_day_stands_in_the_banner() -> None:
    banner = "6.12.43+deb12-amd64 (x@y) #1 SMP PREEMPT_DYNAMIC Debian 6.12.43-1 (2025-09-06)"
    assert built_on(banner) == datetime.date(2025, 9, 6)
    assert built_on("7.3.0 (me@here) #1 SMP Thu Nov 26") is None
    assert built_on("x (2025-99-06)") is None


def test_against_the_last_good_one_of_the_lineage(store: Store, stored: Stored) -> None:
    """Not a bad one, not one of another series or flavour, not itself nor what came later."""
    stored("1" * 16, of("6.12.96"))
    stored("2" * 16, of("6.12.113", good=False))
    stored("3" * 16, of("6.12.116", flavour="cloud-amd64"))
    stored("4" * 16, of("7.1.13"))
    stored("5" * 16, of("6.12.117"))
    stored("6" * 16, of("6.12.118"))
    name = release("6.12.117")
    found = baseline_of(store, f"debian:{name}", name, OFFERED)
    assert found.stored is not None
    assert found.stored.release == release("6.12.96")


def test_without_a_good_one_the_one_before_runs_first(store: Store, stored: Stored) -> None:
    others = [*OFFERED, *listed("6.12.116", flavour="rt-amd64"), *listed("7.1.3")]
    backport = "6.12.117+deb12-amd64"
    others.append(ArchiveKernel(backport, "6.12.117-1~deb12u1", "amd64", ("bookworm-security",)))
    stored("1" * 16, of("6.12.113", good=False))
    name = release("6.12.117")
    found = baseline_of(store, f"debian:{name}", name, others)
    assert found.stored is None
    assert found.spec == f"debian:{release('6.12.113')}"
    oldest = release("6.12.94")
    assert baseline_of(store, f"debian:{oldest}", oldest, others).spec == ""


class _Runs:
    """Stands for the main job: each kernel that is asked for copies."""

    def __init__(self, out: Path) -> None:
        self.options: list[RunOptions] = []
        self.bad: set[str] = set()
        self._out = out

    def __call__(self, arguments: object, options: RunOptions) -> RunResult:
        self.options.append(options)
        (spec,) = options.specs
        version = spec.removeprefix("debian:").partition("+")[0]
        run = replace(
            of(version, good=version not in self.bad),
            id=f"{len(self.options):016x}",
            command=options.command,
            ended="2026-11-23T10:20:00+00:00",
        )
        options.out.mkdir(parents=True)
        results_file.save(run, options.out / results_file.FILE_NAME)
        return run


def _named(spec: str, *_: object) -> str:
    return OFFERED[0].release if spec == "debian:trixie-security" else spec.removeprefix("debian:")


@pytest.fixture
def runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> _Runs:
    found = _Runs(tmp_path)
    monkeypatch.setattr(validate, "run_kernels", found)
    monkeypatch.setattr(validate, "release_named", _named)
    monkeypatch.setattr(validate, "available", lambda _sources, _progress: tuple(OFFERED))
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("AFALG_CACHE", str(tmp_path / "cache"))
    return found


def test_validate_a_suite(
    runs: _Runs, store: Store, stored: Stored, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    """Its newest kernel against the last good one; stored, and told as a checklist."""
    stored("1" * 16, of("6.12.96"))
    asked = ["validate", "debian:trixie-security", "--store", store.name, "--out", "out"]
    assert cli.main(asked) == ExitCode.OK
    said = capsys.readouterr()
    assert "# Release checklist" in said.out
    assert "against 6.12.96+deb13-amd64, the last good one (run 1111111111111111)" in said.err
    (options,) = runs.options
    assert options.specs == (f"debian:{release('6.12.117')}",)
    assert options.baseline == "last-good"
    assert options.command.endswith("--baseline last-good")
    assert (tmp_path / "out/checklist.md").read_text() in said.out
    assert release("6.12.117") in [one.release for one in queries.results(store)]


def test_validate_runs_the_one_before_first_where_none_is_stored(
    runs: _Runs, store: Store, capsys: pytest.CaptureFixture[str]
) -> None:
    asked = ["validate", f"debian:{release('6.12.113')}", "--store", store.name]
    assert cli.main([*asked, "--suite", "zero_copy"]) == ExitCode.OK
    assert "no good one is stored" in capsys.readouterr().err
    (options,) = runs.options
    assert options.baseline == f"debian:{release('6.12.96')}"
    assert options.selection.suites == ("zero_copy",)
    (result,) = queries.results(store)
    assert result.suites == "zero_copy"
    assert result.role is Role.CANDIDATE


def test_validate_what_is_new(
    runs: _Runs, store: Store, capsys: pytest.CaptureFixture[str]
) -> None:
    """One run for each, the oldest first; the worst exit code; the next time nothing is new."""
    runs.bad = {"6.12.113"}
    asked = ["validate", "debian:trixie-security", "-q", "--store", store.name]
    assert cli.main([*asked, "--new-since", "6.12.95", "--out", "o"]) == ExitCode.REGRESSION
    said = capsys.readouterr()
    assert said.out.count("# Release checklist") == 3
    assert [options.specs[0] for options in runs.options] == [
        f"debian:{release(version)}" for version in ("6.12.96", "6.12.113", "6.12.117")
    ]
    # The bad one is nobody's last good.
    assert [options.baseline for options in runs.options][1:] == ["last-good", "last-good"]
    assert runs.options[0].out == Path("o") / release("6.12.96")
    cron = [*documented.arguments("--new-since last"), "--store", store.name]
    for again in ([*asked, "--new-since", "6.12.95"], cron):
        assert cli.main(again) == ExitCode.OK
        assert "nothing new since" in capsys.readouterr().out
    assert len(runs.options) == 3


def test_new_since_is_for_suites(runs: _Runs, capsys: pytest.CaptureFixture[str]) -> None:
    asked = ["validate", f"debian:{release('6.12.113')}", "--new-since", "last"]
    assert cli.main(asked) == ExitCode.USAGE
    assert "is for a suite" in capsys.readouterr().err
    assert not runs.options
