"""What differs between two kernels' answers to the same sequences, and why."""

from __future__ import annotations

from dataclasses import replace

import pytest

from harness.judge.exit_code import losses
from harness.judge.transcripts import compare_transcripts, divergences, minimal
from harness.model import Change, ChangeClass, Role
from tests.unit import samples

CBC = "skcipher cbc(aes) key16"


def changes(before: dict[str, str], after: dict[str, str]) -> dict[str, Change]:
    found = compare_transcripts(
        replace(samples.old(), transcripts=before), replace(samples.new(), transcripts=after)
    )
    return {change.id: change for change in found}


def only(before: dict[str, str], after: dict[str, str]) -> Change:
    (change,) = changes(before, after).values()
    return change


def test_same_answers() -> None:
    answers = {f"{CBC}: send 16; recv 16": "16; 16 00000000"}
    assert not changes(answers, answers)


def test_sequences_of_one_kernel_only_are_not_compared() -> None:
    assert not changes({f"{CBC}: recv 1": "EAGAIN"}, {f"{CBC}: recv 2": "0"})


def test_cut_after_the_first_difference() -> None:
    text = f"{CBC}: send 16; recv 8; recv 16"
    (one,) = divergences({text: "16; 0; 16 00000000"}, {text: "16; EINVAL; EAGAIN"})
    assert one.text() == f"{CBC}: send 16; recv 8"
    assert (one.baseline, one.candidate) == (("16", "0"), ("16", "EINVAL"))


def test_shrunk_to_what_is_needed() -> None:
    calls = ("shutdown", "send 16", "clone", "recv 8")
    whole = f"{CBC}: {'; '.join(calls)}"
    needed = f"{CBC}: send 16; recv 8"
    idle = f"{CBC}: shutdown; clone; recv 8"
    before = {whole: "ENO; 16; ENO; 0", needed: "16; 0", idle: "ENO; ENO; EAGAIN"}
    after = {whole: "ENO; 16; ENO; EIO", needed: "16; EIO", idle: "ENO; ENO; EAGAIN"}
    assert [one.text() for one in minimal(divergences(before, after))] == [needed]
    # Another algorithm's is no part of it.
    other = needed.replace("cbc", "ecb")
    both = minimal(divergences(before | {other: "16; 0"}, after | {other: "16; EIO"}))
    assert {one.text() for one in both} == {needed, other}


def test_unexplained_difference_fails_the_run() -> None:
    text = f"{CBC}: send 16 enc iv16; recv 16"
    change = only({text: "16; 16 0a0b0c0d"}, {text: "16; 16 0a0b0c0e"})
    assert change.cls is ChangeClass.REGRESSED
    assert change.id == "differential/skcipher.recv.other_bytes"
    assert change.baseline == "16 bytes with CRC-32 0a0b0c0d"
    assert change.reproducer is not None
    assert change.reproducer.sequence == text
    old = replace(samples.old(), transcripts={text: "16; 16 0a0b0c0d"})
    new = replace(samples.new(), transcripts={text: "16; 16 0a0b0c0e"})
    result = samples.run(old, new)
    assert change in losses(result.comparisons[0], result.kernels)
    assert result.exit_code == 1


@pytest.mark.parametrize(
    ("commit", "calls", "before", "after"),
    [
        ("2f90facc7b94", "send 24 more; wait 24", "24; 16 0a0b0c0d", "24; waits, 16 0a0b0c0d"),
        (
            "2f90facc7b94",
            "send 24 more; wait 56 fed 24",
            "24; waits, fed 24, 48 0a0b0c0d hole 16-24",
            "24; waits, fed 24, 48 0a0b0c0e",
        ),
        (
            "2f90facc7b94",
            "send 17 more; wait 100 fed 15",
            "17; waits, fed 15, waits, 32 0a0b0c0d beyond",
            "17; waits, fed 15, waits, 32 0a0b0c0e",
        ),
        (
            "2f90facc7b94",
            "send 24 more; wait 48 fed 24",
            "24; waits, fed 24, 32 0a0b0c0d hole 16-24 beyond",
            "24; waits, fed 24, 48 0a0b0c0e",
        ),
        (
            "2f90facc7b94",
            "send 31 more; wait 32 fed 15",
            "31; waits, fed 15, 16 0a0b0c0d",
            "31; waits, fed 15, 32 0a0b0c0e",
        ),
        ("8eceab19eba9", "send 32; recv 8", "32; 0", "32; EINVAL"),
        ("e4c06479d705", "send 16 enc assoclen2147483648", "16", "EINVAL"),
    ],
)
def test_known_changes(commit: str, calls: str, before: str, after: str) -> None:
    text = f"{CBC}: {calls}"
    change = only({text: before}, {text: after})
    assert change.cls is ChangeClass.INTENDED
    assert commit in change.explanation
    back = only({text: after}, {text: before})
    assert back.cls is ChangeClass.REGRESSED
    assert "as before this change" in back.explanation


@pytest.mark.parametrize(
    ("calls", "before", "after"),
    [
        ("send 32 more; wait 32", "32; 32 0a0b0c0d", "32; waits, EINTR"),
        ("send 24 more; wait 24", "24; 16 0a0b0c0d", "24; 16 0a0b0c0e"),
        ("send 17 more; wait 56", "17; waits, 16 0a0b0c0d", "17; waits, 16 0a0b0c0e"),
        ("send 17 more; wait 56", "17; waits, 16 0a0b0c0d", "17; waits, 16 0a0b0c0d beyond"),
        ("send 32 more; wait 48 fed 16", "32; waits, fed 16, 32 0a0b0c0d", "32; waits, EINTR"),
        (
            "send 24 enc more; wait 8192 fed 16",
            "24; waits, fed 16, 16 0a0b0c0d beyond",
            "24; waits, fed 16, waits, 32 0a0b0c0e",
        ),
        ("send 32 more; wait 24", "32; 16 0a0b0c0d", "32; waits, 16 0a0b0c0d"),
        ("send 32; recv 8", "32; 0", "32; EAGAIN"),
        ("send 16 enc assoclen16", "16", "EINVAL"),
    ],
)
def test_what_only_looks_like_a_known_change(calls: str, before: str, after: str) -> None:
    text = f"{CBC}: {calls}"
    assert only({text: before}, {text: after}).cls is ChangeClass.REGRESSED


def test_known_difference_hides_no_other() -> None:
    known, longer = f"{CBC}: send 32; recv 8", f"{CBC}: send 32; recv 8 in 2; recv 8"
    found = changes(
        {known: "32; 0", longer: "32; EINVAL; 0"},
        {known: "32; EINVAL", longer: "32; EINVAL; EIO"},
    )
    assert {change.cls for change in found.values()} == {
        ChangeClass.INTENDED,
        ChangeClass.REGRESSED,
    }


def test_grouped_by_what_differs() -> None:
    texts = [f"{CBC}: send {size}; recv 8" for size in (16, 17, 31, 32)]
    change = only(dict.fromkeys(texts, "16; 0"), dict.fromkeys(texts, "16; EINVAL"))
    assert change.reproducer is not None
    assert change.reproducer.sequence == texts[0]
    assert change.reproducer.others == tuple(texts[1:])
    assert samples.old().role is Role.BASELINE


@pytest.mark.parametrize(
    ("before", "after", "name"),
    [
        ("waits, fed 24, EINVAL", "waits, fed EPIPE, EINVAL", "other"),
        ("fed 1, ", "fed 2, ", "other"),
        ("fed ², 0", "0", "other_bytes"),
        ("9" * 5000, "8", f"{'9' * 5000}-taken"),
    ],
)
def test_any_text_is_compared(before: str, after: str, name: str) -> None:
    text = f"{CBC}: send ² more; wait 9{'9' * 5000}"
    change = only({text: f"²; {before}"}, {text: f"²; {after}"})
    assert change.id == f"differential/skcipher.wait.{name}"
