"""The first answer of a kernel: said as soon as tests and code have told all of it."""

from __future__ import annotations

from concurrent.futures import Future
from dataclasses import replace
from pathlib import Path

import pytest

from harness import first_answer
from harness.first_answer import FirstAnswer
from harness.guest.heard import Heard
from harness.guest.journal import BootRecord
from harness.judge.facts import NAMES, recorded_by
from harness.merge import together
from harness.model import (
    CodeFinding,
    CodeWord,
    Control,
    Fact,
    Outcome,
    Role,
    State,
    TestResult,
)
from harness.progress import Progress, Tone

_KERNEL = "debian:6.12.96"
_INPUTS = {
    test: recorded_by(test)[0]
    for kind in ("skcipher", "aead", "aead_aad")
    for name in NAMES
    if name.startswith(f"zero_copy.{kind}.")
    and recorded_by(test := f"zero_copy/test_input.py::test_{kind}[{name.rpartition('.')[2]}]")
    and not name.endswith((".suite", ".recv"))
}
_COPY_FAIL = "security/test_page_cache_write.py::test_authencesn_leaves_the_file_alone"
_FACTS = {**_INPUTS, _COPY_FAIL: "page_cache_write"}
_PLAN = (*_FACTS, "functional/test_hash.py::test_sha256")
_CANNOT = tuple(
    CodeFinding(way, CodeWord.CANNOT, ("af_alg_sendmsg",))
    for way in ("skcipher.input", "aead.input")
)


class _Display(Progress):
    """Keeps the answers that it is told."""

    def __init__(self) -> None:
        self.told: list[tuple[str, str, Tone]] = []

    def answers(self, subject: str, what: str, tone: Tone) -> None:
        self.told.append((subject, what, tone))


@pytest.fixture
def display() -> _Display:
    return _Display()


def _heard(plan: tuple[str, ...] = _PLAN, seconds: float = 12.34) -> Heard:
    heard = Heard(BootRecord())
    heard.plan, heard.last_seconds = plan, seconds
    return heard


def _ends(heard: Heard, *tests: str, state: State = State.ABSENT) -> None:
    for test in tests:
        heard.tests[test] = TestResult(test, Outcome.PASSED)
        heard.facts[_FACTS[test]] = Fact(state, Control.FIRED, "seen", test)


def _code(findings: tuple[CodeFinding, ...] = _CANNOT) -> Future[tuple[CodeFinding, ...]]:
    reading: Future[tuple[CodeFinding, ...]] = Future()
    reading.set_result(findings)
    return reading


def _answer(
    display: _Display, role: Role = Role.CANDIDATE, log: Path = Path("/nonexistent")
) -> FirstAnswer:
    return FirstAnswer(_KERNEL, role, display, log)


def test_it_stands_with_the_last_test_that_it_takes(display: _Display) -> None:
    answer, heard = _answer(display), _heard()
    answer.read(_code())
    answer.heed(heard)
    _ends(heard, *_INPUTS)
    answer.heed(heard)
    assert display.told == []
    _ends(heard, _COPY_FAIL)
    answer.heed(heard)
    answer.heed(heard)
    words = (
        "first answer after 12.3 s: zero-copy gone, 33 of 33 skcipher and aead inputs copied;"
        " page cache safe"
    )
    assert display.told == [(_KERNEL, words, Tone.GOOD)]


_SHAPES = "zero_copy/test_shapes.py::test_input[aead]"
_ALGORITHMS = "zero_copy/test_algorithms.py::test_kind[aead]"


@pytest.mark.parametrize("is_open", [False, True])
def test_more_shapes_are_said_where_they_change_it(display: _Display, is_open: bool) -> None:
    answer, heard = _answer(display), _heard((*_FACTS, _ALGORITHMS, _SHAPES))
    answer.read(_code())
    _ends(heard, *_FACTS)
    assert not answer.is_over.is_set()
    answer.heed(heard)
    assert answer.is_over.is_set()
    ((_, first, tone),) = display.told
    assert first.endswith("; page cache safe; other shapes and algorithms follow")
    assert "zero-copy gone, 33 of 33" in first
    assert tone is Tone.GOOD
    heard.tests[_ALGORITHMS] = TestResult(_ALGORITHMS, Outcome.PASSED)
    answer.heed(heard)
    heard.tests[_SHAPES] = TestResult(_SHAPES, Outcome.PASSED)
    for name in recorded_by(_SHAPES):
        open_one = is_open and name == "zero_copy.aead.splice_file"
        seen = State.PRESENT if open_one else State.ABSENT
        fact = Fact(seen, Control.FIRED, "seen", _SHAPES)
        heard.facts[name] = together(heard.facts.get(name), fact)
    heard.last_seconds = 20.0
    answer.heed(heard)
    answer.heed(heard)
    more = "after 20.0 s, all shapes and algorithms: zero-copy present, 32 of 33"
    told = [(words[: len(more)], tone) for _, words, tone in display.told[1:]]
    assert told == ([(more, Tone.BAD)] if is_open else [])


def test_it_waits_for_what_the_code_says(display: _Display) -> None:
    answer, heard = _answer(display), _heard()
    _ends(heard, *_FACTS)
    answer.heed(heard)
    assert display.told == []
    answer.read(_code((replace(_CANNOT[0], word=CodeWord.CAN), _CANNOT[1])))
    ((_, words, tone),) = display.told
    assert "zero-copy unknown" in words
    assert tone is Tone.DOUBTFUL


def test_code_that_cannot_be_read_is_for_the_run_to_say(
    display: _Display, caplog: pytest.LogCaptureFixture
) -> None:
    answer, heard = _answer(display), _heard()
    _ends(heard, *_FACTS)
    answer.heed(heard)
    reading: Future[tuple[CodeFinding, ...]] = Future()
    reading.add_done_callback(answer.read)
    reading.set_exception(MemoryError())
    assert (display.told, caplog.text) == ([], "")


def test_what_is_open_is_said(display: _Display) -> None:
    answer, heard = _answer(display), _heard()
    answer.read(_code())
    _ends(heard, *_INPUTS)
    _ends(heard, _COPY_FAIL, state=State.PRESENT)
    answer.heed(heard)
    ((_, words, tone),) = display.told
    assert words.endswith("page cache WRITABLE")
    assert tone is Tone.BAD


def test_a_baseline_is_shown_and_not_judged(display: _Display) -> None:
    answer, heard = _answer(display, Role.BASELINE), _heard()
    answer.read(_code())
    _ends(heard, *_FACTS, state=State.PRESENT)
    answer.heed(heard)
    ((_, words, tone),) = display.told
    assert "zero-copy present" in words
    assert tone is Tone.PLAIN


def test_what_was_seen_before_the_kernel_died_counts(display: _Display) -> None:
    answer = _answer(display)
    answer.read(_code())
    first, *rest = _FACTS
    before, after = _heard(seconds=10.0), _heard((*rest, _PLAN[-1]), seconds=5.0)
    _ends(before, first, state=State.PRESENT)
    answer.heed(before)
    _ends(after, *rest)
    answer.heed(after)
    ((_, words, tone),) = display.told
    assert words.startswith("first answer after 15.0 s: zero-copy present, 32 of 33")
    assert tone is Tone.BAD


def test_a_path_that_told_nothing_is_not_gone(display: _Display) -> None:
    answer, heard = _answer(display), _heard()
    answer.read(_code())
    _ends(heard, *_FACTS)
    lost = next(iter(_INPUTS))
    heard.tests[lost] = TestResult(lost, Outcome.TIMEOUT)
    del heard.facts[_FACTS[lost]]
    answer.heed(heard)
    ((_, words, tone),) = display.told
    assert "zero-copy none seen" in words
    assert "1 were not probed" in words
    assert tone is Tone.DOUBTFUL


def test_without_such_tests_there_is_no_first_answer(display: _Display) -> None:
    answer, heard = _answer(display), _heard(_PLAN[-1:])
    answer.read(_code())
    answer.heed(heard)
    heard.tests[_PLAN[-1]] = TestResult(_PLAN[-1], Outcome.PASSED)
    answer.heed(heard)
    assert display.told == []


def test_a_fault_of_ours_ends_no_boot(
    display: _Display, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def fail(*_: object) -> None:
        raise ValueError("broken")

    monkeypatch.setattr(first_answer, "settled", fail)
    answer, heard = _answer(display, log=tmp_path), _heard()
    answer.read(_code())
    _ends(heard, *_FACTS)
    answer.heed(heard)
    answer.heed(heard)
    ((_, words, _),) = display.told
    assert words.startswith("no first answer: the harness failed: ValueError: broken")
    assert "in fail" in (tmp_path / "harness-error.log").read_text()
