"""What falls to which shard, and that the shards of a run are together what the whole is."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.cli import build_parser, main
from harness.errors import ExitCode, InputError
from harness.judge.expectations import load_expectations
from harness.kernels.sources import KernelSources
from harness.model import (
    Boot,
    HostInfo,
    KernelIdentity,
    KernelResult,
    Outcome,
    Revisions,
    Role,
    RunResult,
    Shard,
    Status,
)
from harness.report import results_file
from harness.run import planned_roles
from harness.run_options import RunOptions
from harness.shard import load_times, narrowed, shared_out
from harness.shards_merged import merged, whole_command
from tests import documented
from tests.unit import samples

_SPECS = st.lists(st.text("abcdef", min_size=1, max_size=4), unique=True, max_size=12)
_COUNTS = st.integers(1, 6)


@given(_SPECS, _COUNTS, st.dictionaries(st.text("abcdef", min_size=1, max_size=4), st.floats(0, 9)))
def test_each_kernel_falls_to_one_shard(
    specs: list[str], count: int, times: dict[str, float]
) -> None:
    parts = shared_out(specs, count, times)
    assert len(parts) == count
    assert sorted(spec for part in parts for spec in part) == sorted(specs)


@given(_SPECS, _COUNTS, st.randoms())
def test_the_order_of_the_words_does_not_matter(
    specs: list[str], count: int, random: object
) -> None:
    mixed = list(specs)
    random.shuffle(mixed)  # type: ignore[attr-defined]
    before, after = (shared_out(order, count, {}) for order in (specs, mixed))
    assert [set(part) for part in before] == [set(part) for part in after]


@given(_SPECS, _COUNTS)
def test_without_times_shards_are_of_one_size(specs: list[str], count: int) -> None:
    sizes = [len(part) for part in shared_out(specs, count, {})]
    assert max(sizes) - min(sizes) <= 1


def test_what_falls_where_stays_so() -> None:
    """Not even another version of this program may shift a kernel: its shards may differ in it."""
    assert shared_out(("a", "b", "c", "d", "e"), 2, {}) == [("a", "b", "d"), ("c", "e")]


def test_the_longest_has_a_shard_to_itself() -> None:
    times = {"a": 100.0, "b": 30.0, "c": 30.0, "d": 40.0}
    assert shared_out("abcd", 2, times) == [("a",), ("b", "c", "d")]


def test_one_whose_time_is_not_known_takes_as_long_as_others() -> None:
    assert shared_out("abx", 2, {"a": 10.0, "b": 1000.0}) == [("b",), ("a", "x")]


def _options(*specs: str, baseline: str | None = None) -> RunOptions:
    return RunOptions(
        specs=specs,
        baseline=baseline,
        sources=KernelSources(Path("cache")),
        out=Path("out"),
        command="",
        expectations=load_expectations(None, ()),
    )


def test_each_shard_has_the_baseline() -> None:
    options = _options("a", "b", "c")
    shards = [narrowed(options, planned_roles(options), number, 2, {}) for number in (1, 2)]
    assert [planned_roles(one)[0] for one in shards] == 2 * [("a", Role.BASELINE)]
    assert sorted(one.specs[0] for one in shards) == ["b", "c"]
    assert {one.shard.specs for one in shards if one.shard} == {("a", "b", "c")}


@pytest.mark.parametrize(
    ("text", "code"),
    [("{", 2), ("[]", 2), ('{"a": "1"}', 2), ('{"a": -1}', 2), ('{"a": true}', 2), ('{"a": 1}', 0)],
)
def test_times_are_seconds(tmp_path: Path, text: str, code: int) -> None:
    path = tmp_path / "times.json"
    path.write_text(text)
    if code:
        with pytest.raises(InputError, match=r"^--shard-times .*times\.json: "):
            load_times(path)
    else:
        assert load_times(path) == {"a": 1.0}


def test_an_earlier_run_has_times(tmp_path: Path) -> None:
    run = _whole("a", "b")
    results_file.save(run, tmp_path / "results.json")
    assert load_times(tmp_path) == load_times(tmp_path / "results.json") == {"a": 7.0, "b": 7.0}


def test_what_runs_times_prints(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    results_file.save(_whole("a", "b"), tmp_path / "results.json")
    store = f"--store={tmp_path}/store"
    assert main(["runs", "import", store, str(tmp_path / "results.json")]) == 0
    capsys.readouterr()
    assert main(["runs", "times", store]) == 0
    printed = capsys.readouterr().out
    (tmp_path / "times.json").write_text(printed)
    assert load_times(tmp_path / "times.json") == {"a": 7.0, "b": 7.0}


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["--shard", "0/2"], "must be I/N"),
        (["--shard", "3/2"], "must be I/N"),
        (["--shard", "1"], "must be I/N"),
        (["--shard-times", "x"], "there is no --shard"),
        (["--shard", "1/2", "--baseline", "last-good"], "may be another kernel"),
        (["--shard", "1/2", "--shard-times", "/no/such"], "No such file"),
    ],
)
def test_what_is_refused(
    words: Sequence[str], told: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "run"
    code = _exit(["run", "debian:7.3.4+deb13-amd64", "x", *words, "--out", str(out)])
    error = capsys.readouterr().err
    assert (code, error.count("\n")) == (2, 1)
    assert told in error
    assert not out.exists()


def _exit(words: Sequence[str]) -> int:
    try:
        return main(words)
    except SystemExit as error:  # argparse's
        return int(str(error.code))


def test_nothing_falls_to_a_shard_too_many(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "run"
    codes = [main(["run", "./a", "./b", f"--shard={n}/2", "--out", str(out)]) for n in (1, 2)]
    assert sorted(codes) == [0, 2]  # the other one would run ./b, which is not there
    assert "no kernel falls to it" in capsys.readouterr().out
    assert not out.exists()


def _kernel(spec: str, role: Role = Role.CANDIDATE) -> KernelResult:
    sample = samples.new()
    return replace(
        sample,
        spec=spec,
        release=f"7.3-{spec}",
        role=role,
        status=Status.COMPLETED,
        boots=(Boot(Status.COMPLETED, accel="tcg", identity=sample.identity),),
        kernel=KernelIdentity(build_id=f"id of {spec}"),
        wall_seconds=7.0,
        directory=f"kernels/7.3-{spec}",
    )


def _whole(*specs: str) -> RunResult:
    roles = (Role.BASELINE, *(Role.CANDIDATE for _ in specs[1:]))
    run = samples.run(*map(_kernel, specs, roles))
    return replace(
        run,
        id="1",
        command=shlex.join(["afalg-harness", "run", *specs, "--boots", "2"]),
        started="2026-11-26T10:00:00+00:00",
        ended="2026-11-26T10:10:00+00:00",
        host=HostInfo("tcg", "", "7.2", "1.42", 2),
        revisions=Revisions("0.1", "suite", "image"),
    )


def _stored(run: RunResult, place: Path) -> Path:
    for kernel in run.kernels:
        directory = place / kernel.directory
        directory.mkdir(parents=True)
        (directory / "console.log").write_text(f"{kernel.spec} says so\n")
    (place / "payload.tar").write_text("payload")
    results_file.save(run, place / "results.json")
    return place


def _parted(whole: RunResult, place: Path, count: int = 2) -> list[Path]:
    """The run directories of the shards of ``whole``."""
    specs = tuple(kernel.spec for kernel in whole.kernels)
    shares = shared_out(specs[1:], count, {})
    return [
        _stored(
            replace(
                whole,
                id=f"part {number}",
                command=f"{whole.command} --shard {number}/{count} --out x --shard-times y",
                kernels=tuple(k for k in whole.kernels if k.spec in (specs[0], *share)),
                comparisons=(),
                shard=Shard(number, count, specs),
            ),
            place / f"part-{number}",
        )
        for number, share in enumerate(shares, 1)
    ]


def test_the_shards_are_together_what_the_whole_is(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    whole = _whole("a", "b", "c", "d", "e", "f")
    out = tmp_path / "merged"
    parts = _parted(whole, tmp_path, 3)
    assert main(["report", "merge", *map(str, reversed(parts)), "--out", str(out)]) == 0
    assert replace(results_file.load(out), id="1") == whole
    assert {path.name for path in out.iterdir()} == {
        *("results.json", "junit.xml", "summary.md", "report.html", "kernels", "payload.tar")
    }
    for kernel in whole.kernels:
        log = out / kernel.directory / "console.log"
        assert log.read_text() == f"{kernel.spec} says so\n"
    assert f"{out}/report.html" in capsys.readouterr().out.replace("\n", "")


def test_merged_twice_it_is_one_run(tmp_path: Path) -> None:
    parts = _parted(_whole("a", "b", "c"), tmp_path)
    assert merged(parts, tmp_path / "x").id == merged(parts[::-1], tmp_path / "y").id != "1"


def test_a_shard_that_is_missing_is_said(tmp_path: Path) -> None:
    whole = _whole("a", "b", "c")
    first, second = _parted(whole, tmp_path)
    found = merged([second], tmp_path / "out")
    lost = [kernel.spec for kernel in found.kernels if kernel.status is Status.UNAVAILABLE]
    assert lost == [k.spec for k in results_file.load(first).kernels if k.spec != "a"] != []
    assert found.exit_code == ExitCode.INFRASTRUCTURE


def test_one_that_was_interrupted_makes_the_whole_so(tmp_path: Path) -> None:
    whole = _whole("a", "b", "c")
    first, second = _parted(whole, tmp_path)
    run = results_file.load(first)
    cut = tuple(replace(kernel, status=Status.INTERRUPTED) for kernel in run.kernels)
    results_file.save(replace(run, kernels=cut, ended=""), first / "results.json")
    found = merged([first, second], tmp_path / "out")
    assert (found.ended, found.exit_code) == ("", ExitCode.INTERRUPTED)


def _changed(place: Path, **fields: object) -> None:
    run = results_file.load(place)
    results_file.save(replace(run, **fields), place / "results.json")  # type: ignore[arg-type]


def test_where_the_baseline_came_to_something_else_is_said(tmp_path: Path) -> None:
    first, second = _parted(_whole("a", "b", "c"), tmp_path)
    run = results_file.load(second)
    test = replace(run.kernels[0].tests[0], outcome=Outcome.FAILED)
    baseline = replace(run.kernels[0], tests=(test, *run.kernels[0].tests[1:]))
    _changed(second, kernels=(baseline, *run.kernels[1:]))
    found = merged([first, second], tmp_path / "out").kernels[0]
    assert found.notes == (
        f"came to something else in shard 2/2: {test.id} (passed, there failed)",
    )


def test_another_accelerator_is_said(tmp_path: Path) -> None:
    first, second = _parted(_whole("a", "b", "c"), tmp_path)
    run = results_file.load(second)
    boots = (replace(run.kernels[1].boots[0], accel="kvm"),)
    _changed(second, kernels=(run.kernels[0], replace(run.kernels[1], boots=boots)))
    found = merged([first, second], tmp_path / "out")
    noted = {kernel.spec: kernel.notes for kernel in found.kernels if kernel.notes}
    told = "not observed as 7.3-a in shard 1/2: accelerator tcg and kvm"
    assert noted == {run.kernels[1].spec: (told,)}


@pytest.mark.parametrize(
    ("fields", "told"),
    [
        ({"shard": None}, "no part of a run"),
        ({"shard": Shard(1, 2, ("a", "b", "c"))}, "each is shard 1/2"),
        ({"shard": Shard(2, 3, ("a", "b", "c"))}, "parts of two runs: of other kernels"),
        ({"seed": 99}, "of two seeds"),
        ({"revisions": Revisions("0.1", "other", "image")}, "of two suite revisions"),
        ({"command": "afalg-harness run a b c --boots 3"}, "of two selections"),
    ],
)
def test_what_are_no_parts_of_one_run(
    tmp_path: Path, fields: dict[str, object], told: str, capsys: pytest.CaptureFixture[str]
) -> None:
    first, second = _parted(_whole("a", "b", "c"), tmp_path)
    _changed(second, **fields)
    out = tmp_path / "out"
    assert main(["report", "merge", str(first), str(second), "--out", str(out)]) == 2
    assert told in capsys.readouterr().err
    assert not out.exists()


def test_the_baseline_must_be_one_kernel(tmp_path: Path) -> None:
    first, second = _parted(_whole("a", "b", "c"), tmp_path)
    run = results_file.load(second)
    newer = replace(run.kernels[0], kernel=KernelIdentity(build_id="x"), release="7.4")
    _changed(second, kernels=(newer, *run.kernels[1:]))
    with pytest.raises(InputError, match=r"a is 7.3-a in .*another kernel \(7.4\).*exactly"):
        merged([first, second], tmp_path / "out")


@pytest.mark.parametrize(
    "words",
    [
        ["report", "merge"],
        ["report", "merge", "x", "--replay"],
        ["report", "a", "b"],
        ["report", "a", "--out", "b"],
    ],
)
def test_merge_is_asked_for_wrongly(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(words) == 2
    assert capsys.readouterr().err.count("\n") == 1


def test_two_kernels_of_one_release_keep_their_files(tmp_path: Path) -> None:
    whole = _whole("a", "b", "c")
    alike = tuple(replace(k, release="7.3", directory=f"kernels/{k.spec}") for k in whole.kernels)
    found = merged(_parted(replace(whole, kernels=alike), tmp_path), tmp_path / "out")
    names = [kernel.directory for kernel in found.kernels]
    assert names == ["kernels/7.3", "kernels/7.3~2", "kernels/7.3~3"]
    for kernel in found.kernels:
        text = (tmp_path / "out" / kernel.directory / "console.log").read_text()
        assert text == f"{kernel.spec} says so\n"


def test_the_command_of_the_whole() -> None:
    assert (
        whole_command("afalg-harness run a b --shard=1/2 -k 'x y' --shard-times t --out o --jobs 2")
        == "afalg-harness run a b -k 'x y' --jobs 2"
    )


def test_the_documented_parts_are_together_the_whole(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What each part of the page's commands would boot; merged as it says there."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "times.json").write_text("{}")
    plain = documented.arguments("run --shard 1/3 --out part-1 debian:6.12.95")
    by_times = documented.arguments("run --shard 1/3 --shard-times times.json")
    for words in (plain, by_times):
        parsed = build_parser(words).parse_args(words)
        times = load_times(parsed.shard_times) if parsed.shard_times else {}
        options = _options(*parsed.specs)
        assert parsed.shard == (1, 3)
        parts = [narrowed(options, planned_roles(options), n, 3, times) for n in (1, 2, 3)]
        assert {spec for part in parts for spec in part.specs} == set(parsed.specs[1:])
    _parted(_whole("a", "b", "c", "d"), tmp_path, 3)
    assert main(documented.arguments("report merge")) == 0
    assert len(results_file.load(tmp_path / "whole").kernels) == 4
