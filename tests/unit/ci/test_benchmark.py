"""The benchmark's own arithmetic: what is counted, and how it is told. Nothing is booted."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import benchmark
import benchmark_table
import guest_instructions
import pytest
import spending
from benchmark_table import Figures
from time_split import covered, split_of

_ABOUT = {
    "kernel": "7.3.4",
    "accel": "tcg",
    "cpus": 2,
    "cpu": "a model",
    "qemu": "7.2.22",
    "revision": "abc",
    "started": "2026-11-26T12:00:00+00:00",
    "load_before": 0.1,
}


def _record(**figures: list[float]) -> dict[str, Any]:
    named = {name.replace("__", "."): values for name, values in figures.items()}
    bare = {"bare.seconds": [2.0, 3.0, 4.0], "bare.cpu": [4.0, 4.0, 4.0]}
    return {"schema": 1, "about": _ABOUT, "figures": {**bare, **named}}


def _told(words: str, record: dict[str, Any], before: dict[str, Any] | None = None) -> list[str]:
    (line,) = (line for line in benchmark_table.lines(record, before) if line.startswith(words))
    return line.removeprefix(words).split()


def test_a_row_is_in_units_of_the_median_bare_boot() -> None:
    record = _record(run__answer=[9.0, 6.0, 12.0])
    told = _told("first answer: every path and the page cache judged", record)
    assert told == ["3.00", "2.00", "4.00", "9.0", "3.5", "2.5"]


def test_a_count_is_told_as_it_is() -> None:
    record = _record(bisect__boots=[7.0])
    told = _told("bisect of Debian's kernels, cold: boots", record)
    assert told == ["7.00", "7.00", "7.00", "7", "4"]


def test_what_was_not_measured_has_no_row() -> None:
    record = _record() | {"not_measured": {"reuse": "not supported: run has no --reuse"}}
    lines = list(benchmark_table.lines(record))
    assert "reuse: not measured: not supported: run has no --reuse" in lines
    assert not any(line.startswith("six kernels") for line in lines)


def test_two_are_compared_in_the_unit_of_the_row() -> None:
    before = _record(run__cpu=[80.0])
    before["figures"]["bare.cpu"] = [5.0]  # a slower machine, or a busier one
    told = _told("processor time of that run, in that of bare boots", _record(run__cpu=[32.0]))
    assert told[:4] == ["8.00", "8.00", "8.00", "32.0"]
    *_, earlier, ratio = _told(
        "processor time of that run, in that of bare boots", _record(run__cpu=[32.0]), before
    )
    assert (earlier, ratio) == ("16.00", "0.50")


def test_split_and_memory_stand_below(tmp_path: Path) -> None:
    record = _record(split__boot=[7.0, 8.0], suite__policy=[4.0], memory__qemu=[500.0])
    assert _told("boot: start of vng to the first record", record) == ["7.50", "7.00", "8.00"]
    assert _told("  policy", record) == ["4.00", "4.00", "4.00"]
    assert _told("QEMU", record) == ["500.00", "500.00", "500.00"]


def test_stored_figures_are_read_instead_of_measured(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    now, before = tmp_path / "now.json", tmp_path / "before.json"
    now.write_text(json.dumps(_record(run__seconds=[30.0])))
    before.write_text(json.dumps(_record(run__seconds=[60.0])))
    words = ["benchmark.py", "--read", str(now), "--against", str(before)]
    monkeypatch.setattr(sys, "argv", words)
    assert benchmark.main() == 0
    assert "20.00     0.50" in capsys.readouterr().out
    for broken in ("{", "{}", "[]", json.dumps(_record() | {"figures": {}})):
        before.write_text(broken)
        assert benchmark.main() == 2
        assert capsys.readouterr().err.startswith(f"benchmark: {before}: no figures")


def test_time_in_which_tests_overlap_counts_once() -> None:
    assert covered([(0.0, 4.0), (1.0, 2.0), (3.0, 5.0), (7.0, 8.0)]) == 6.0
    assert covered([]) == 0.0


def _lines(*records: dict[str, Any]) -> str:
    return "".join(json.dumps(record) + "\n" for record in records)


def _guest(kind: str, number: int, heard: float, **fields: Any) -> dict[str, Any]:
    told = {"type": kind, "seq": number, "uptime": heard, "by": "guest"}
    return {**told, "host_seconds": heard, **fields}


def _boot(*, ended: bool, number: int = 1) -> str:
    test = "policy/test_level.py::test_it"
    hello: dict[str, Any] = dict.fromkeys(
        ("nonce", "release", "version", "machine", "cmdline", "af_alg_error"), ""
    )
    return _lines(
        {"type": "boot", "number": number, "by": "host", "host_seconds": 0.0},
        _guest("hello", 0, 5.0, **hello, af_alg_restrict=None, taint=0),
        _guest("plan", 1, 8.0, tests=[test]),
        _guest("start", 2, 9.0, id=test),
        _guest("outcome", 3, 12.0, id=test, outcome="passed", seconds=2.5, message="", details=""),
        *([_guest("end", 4, 13.0, status=0, seconds=8.0, taint=0)] if ended else []),
        {
            **{"type": "closed", "ending": "guest", "wall_seconds": 14.0},
            **{"by": "host", "host_seconds": 14.0},
        },
    )


def test_the_split_of_a_boot(tmp_path: Path) -> None:
    (tmp_path / "events.jsonl").write_text(_boot(ended=True))
    (tmp_path / "console.log").touch()
    split = split_of(tmp_path)
    assert (split.boot, split.plan, split.tests, split.between) == (5.0, 3.0, 3.0, 2.0)
    assert (split.power_off, split.whole) == (1.0, 14.0)
    assert split.suites == {"policy": 2.5}


def test_a_boot_that_died_has_no_split(tmp_path: Path) -> None:
    (tmp_path / "events.jsonl").write_text(_boot(ended=False))
    with pytest.raises(ValueError, match="none of its boots came to its end"):
        split_of(tmp_path)


def test_a_boot_that_died_is_passed_over(tmp_path: Path) -> None:
    (tmp_path / "events.jsonl").write_text(_boot(ended=False) + _boot(ended=True, number=2))
    (tmp_path / "console.log").touch()
    split = split_of(tmp_path)
    assert (split.whole, split.suites["policy"]) == (14.0, 5.0)


#: Takes processor time in a process that its parent never waits for, and memory in its own.
_SPENDER = """
import os, sys, time
wait, ended = os.pipe()
print("begun", file=sys.stderr, flush=True)
data = bytearray(64 << 20)
if os.fork() == 0:
    if os.fork() == 0:
        while time.process_time() < 0.5: pass
        os._exit(0)
    os._exit(0)
os.wait()
os.close(ended)
while time.process_time() < 0.4: pass
os.read(wait, 1)
print("on stdout")
sys.exit(3)
"""


def test_what_a_program_spends_is_that_of_all_its_processes() -> None:
    # In a process of its own: orphans become children of whoever measures.
    words = (
        "import dataclasses, json, sys, spending;"
        f"spent = spending.spend([sys.executable, '-c', {_SPENDER!r}]);"
        "print(json.dumps(dataclasses.asdict(spent)))"
    )
    folder = Path(spending.__file__).parent
    done = subprocess.run(
        [sys.executable, "-c", words], cwd=folder, capture_output=True, text=True, check=True
    )
    spent = json.loads(done.stdout)
    assert spent["status"] == 3
    assert spent["stdout"] == "on stdout\n"
    assert [line for _, line in spent["said"]] == ["begun\n"]
    assert spent["cpu"] >= 0.9  # both of them
    assert spent["own_mib"] >= 64
    assert spent["qemu_mib"] == 0
    assert spent["seconds"] >= 0.4


@pytest.mark.parametrize("text", ["", "# started\n<not supported>;;instructions:G;0;100.00;;\n"])
def test_perf_that_counts_no_guest_is_no_count(text: str) -> None:
    with pytest.raises(guest_instructions.Uncounted):
        guest_instructions.read_perf(text)


def test_what_perf_counted() -> None:
    text = "# started on Thu\n\n1234567890;;instructions:G;1000;100.00;;\n"
    assert guest_instructions.read_perf(text) == 1234567890


def test_figures_gather_the_repeats() -> None:
    figures = Figures()
    figures.add("a", 1.23456)
    figures.add("a", 2)
    assert figures.values == {"a": [1.235, 2]}
