"""What the witnesses of a zero-copy path say together: probes, kprobes, the kernel's code."""

from __future__ import annotations

from dataclasses import replace

import pytest

from harness.judge.expectations import Expectations, load_expectations
from harness.judge.facts import NAMES, Section, Weight, kind_of, way_of
from harness.judge.settle import settled
from harness.judge.states import told_state, why_unknown
from harness.judge.verdict import judge
from harness.judge.witnesses import evidence, marks
from harness.model import (
    CodeFinding,
    CodeWord,
    Control,
    Fact,
    State,
    Witness,
)
from tests.unit import samples

INPUT = "zero_copy.skcipher.splice_file"
OUTPUT = "zero_copy.skcipher.recv"


def code(word: CodeWord, way: str = "skcipher.input") -> CodeFinding:
    found = samples.with_code(samples.new(), word).code
    return next(finding for finding in found if finding.way == way)


def fact(state: State, word: CodeWord | None, **changes: object) -> Fact:
    said = code(word) if word is not None else None
    return replace(Fact(state, Control.FIRED, "seen", "t", code=said), **changes)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("name", "way"),
    [
        (INPUT, "skcipher.input"),
        ("zero_copy.aead.tee", "aead.input"),
        ("zero_copy.aead_aad.vmsplice", "aead.input"),
        ("zero_copy.hash.sendmsg", "hash.input"),
        ("zero_copy.rng.splice", "rng.input"),
        (OUTPUT, "skcipher.output"),
        ("zero_copy.hash.recv", "hash.output"),
        ("page_cache_write", ""),
        ("consumers.kcapi_rng.stdrng.root", ""),
    ],
)
def test_the_way_of_a_path(name: str, way: str) -> None:
    assert way_of(name) == way


def test_every_path_has_a_way_that_the_code_is_asked_of() -> None:
    from harness.static.witness import WAYS  # noqa: PLC0415

    paths = {name for name in NAMES if kind_of(name).section is Section.ZERO_COPY}
    assert {way_of(name) for name in paths} == set(WAYS)


@pytest.mark.parametrize(
    ("name", "state", "word", "told"),
    [
        (INPUT, State.ABSENT, CodeWord.CANNOT, State.ABSENT),
        (INPUT, State.ABSENT, CodeWord.SILENT, State.ABSENT),
        (INPUT, State.ABSENT, None, State.ABSENT),
        (INPUT, State.ABSENT, CodeWord.CAN, State.UNKNOWN),
        (INPUT, State.PRESENT, CodeWord.CANNOT, State.PRESENT),
        (INPUT, State.PRESENT, CodeWord.CAN, State.PRESENT),
        (INPUT, State.UNREACHABLE, CodeWord.CAN, State.UNREACHABLE),
        (OUTPUT, State.ABSENT, CodeWord.CAN, State.ABSENT),
        ("zero_copy.hash.splice_file", State.ABSENT, CodeWord.CAN, State.ABSENT),
    ],
)
def test_state(name: str, state: State, word: CodeWord | None, told: State) -> None:
    assert told_state(name, fact(state, word)) is told


def test_why_a_copied_path_is_unknown() -> None:
    many = fact(State.ABSENT, CodeWord.CAN, shapes=214)
    said = "copied in each of 214 shapes tried, but af_alg_sendmsg() still calls"
    assert why_unknown(many) == f"{said} extract_iter_to_sg()"
    assert why_unknown(fact(State.ABSENT, CodeWord.CAN)).startswith("copied in the one shape tried")
    inlined = replace(code(CodeWord.CAN), evidence=("hash_sendpage", "the page that it is handed"))
    assert why_unknown(replace(many, code=inlined)).endswith(
        "its code still leads there: hash_sendpage -> the page that it is handed"
    )
    # A void observation is void, whatever the code says.
    assert "control failed" in why_unknown(replace(many, control=Control.FAILED))
    assert "without a control" in why_unknown(replace(many, control=Control.NOT_RUN))


def test_evidence_names_the_witnesses_that_agree() -> None:
    gone = evidence(INPUT, fact(State.ABSENT, CodeWord.CANNOT))
    assert gone.startswith("seen; proven twice: the kernel's code cannot")
    silent = evidence(INPUT, fact(State.ABSENT, CodeWord.SILENT, witness=Witness.SILENT))
    assert "code is silent: af_alg.ko: no symbol table" in silent
    assert "witness inside the kernel could not be asked" in silent
    assert "twice" not in silent
    assert "twice" not in evidence(INPUT, fact(State.PRESENT, CodeWord.CAN))
    assert evidence(INPUT, fact(State.ABSENT, None)) == "seen"


@pytest.mark.parametrize(
    ("state", "witness", "word", "expected"),
    [
        (State.ABSENT, Witness.AGREED, CodeWord.CANNOT, "pkc"),
        (State.PRESENT, Witness.AGREED, CodeWord.CAN, "pkc"),
        (State.ABSENT, Witness.SILENT, CodeWord.CAN, "p-!"),
        (State.PRESENT, Witness.DISAGREED, CodeWord.CANNOT, "p!!"),
        (State.ABSENT, Witness.NONE, CodeWord.SILENT, "p--"),
        (State.ABSENT, Witness.AGREED, None, "pk-"),
        (State.ABSENT, Witness.NONE, None, ""),
        (State.UNREACHABLE, Witness.NONE, CodeWord.CANNOT, ""),
        (State.UNKNOWN, Witness.SILENT, CodeWord.CANNOT, ""),
    ],
)
def test_marks(state: State, witness: Witness, word: CodeWord | None, expected: str) -> None:
    assert marks("zero_copy.aead.tee", fact(state, word, witness=witness)) == expected


def test_of_what_no_probe_saw_there_is_no_letter_of_a_probe() -> None:
    assert marks("zero_copy.aead.suite", fact(State.ABSENT, CodeWord.CANNOT)) == "-kc"


def test_each_path_gets_the_word_of_its_way() -> None:
    kernel = settled(samples.with_code(samples.new(), CodeWord.CANNOT))
    words = {path: fact.code for path, fact in kernel.facts.zero_copy.items()}
    assert words["skcipher.splice_file"] == code(CodeWord.CANNOT)
    assert words["aead_aad.splice_file"] == code(CodeWord.CANNOT, "aead.input")
    assert kernel.facts.page_cache_write == samples.new().facts.page_cache_write
    assert settled(kernel) == kernel
    # What is stored with a fact is not believed without the findings that it is from.
    assert settled(replace(kernel, code=())) == samples.new()


def test_copied_while_the_code_still_can_is_no_pass_and_no_proof() -> None:
    kernel = samples.with_code(samples.new(), CodeWord.CAN)
    verdict = judge(kernel, Expectations())
    assert not verdict.ok and verdict.unknown
    assert any(
        reason.startswith(f"{INPUT} is unknown, expected absent (copied in the one shape tried")
        for reason in verdict.reasons
    )
    assert samples.run(kernel).exit_code == 3
    assert samples.run(samples.old(), kernel).exit_code == 3
    # Nothing of it is a loss, though the baseline's path was proven twice.
    good = replace(samples.with_code(samples.new(), CodeWord.CANNOT), role=samples.old().role)
    assert samples.run(good, kernel).exit_code == 3
    # One path that a probe saw shared is enough to speak against it.
    shared = samples.with_path(
        kernel, "skcipher.sendfile", samples.path_fact("skcipher.sendfile", State.PRESENT)
    )
    assert samples.run(shared).exit_code == 1
    anything = load_expectations(None, ["zero_copy.*=any"])
    assert judge(kernel, anything).ok


def test_copied_and_cannot_is_ok() -> None:
    kernel = samples.with_code(samples.new(), CodeWord.CANNOT)
    verdict = judge(kernel, Expectations())
    assert verdict.ok
    check = next(check for check in verdict.checks if check.id == INPUT)
    assert "proven twice" in check.explanation


def test_shared_whatever_the_code_says() -> None:
    kernel = samples.with_code(samples.old(), CodeWord.CANNOT)
    verdict = judge(kernel, Expectations())
    assert f"{INPUT} is present, expected absent" in verdict.reasons
    assert not verdict.unknown


def test_silent_code_is_noted_and_no_obstacle() -> None:
    kernel = samples.with_code(samples.new(), CodeWord.SILENT)
    verdict = judge(kernel, Expectations())
    assert verdict.ok
    (note,) = [note for note in verdict.notes if "code says nothing of" in note]
    assert "no symbol table" in note and "observed alone" in note
    # Of a run from before there was such a witness nothing is said.
    assert not any("code" in note for note in judge(samples.new(), Expectations()).notes)


def test_a_void_path_that_the_code_has_still_speaks_against_the_kernel() -> None:
    """A failed control is not made harmless by what the code says."""
    void = samples.path_fact("skcipher.sendfile", State.ABSENT, Control.FAILED)
    kernel = samples.with_code(
        samples.with_path(samples.new(), "skcipher.sendfile", void), CodeWord.CAN
    )
    assert not judge(kernel, Expectations()).unknown
    alone = samples.with_path(samples.new(), "skcipher.sendfile", void)
    assert judge(kernel, Expectations()).ok is judge(alone, Expectations()).ok is False


def test_only_inputs_are_judged_by_their_code() -> None:
    judged = {name for name in NAMES if kind_of(name).weight is Weight.JUDGED}
    assert {way_of(name) for name in judged} == {"skcipher.input", "aead.input", ""}
