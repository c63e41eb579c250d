"""A difference in answers, told to people and as a program that shows it."""

from __future__ import annotations

import ast
import io
from dataclasses import replace
from pathlib import Path

from rich.console import Console

from harness.model import Reproducer, RunResult
from harness.report import results_file
from harness.report.reproducer import program, told_steps
from harness.report.summary import summary_lines
from harness.report.terminal import print_details
from tests.unit import samples

SEQUENCE = "skcipher cbc(aes) key16: send 24 enc iv16 more; splice 16; wait 56 fed 24"
BEFORE = "24; 16; waits, fed 24, 48 0a0b0c0d hole 16-24 beyond"
AFTER = "24; 16; waits, fed 24, 48 0a0b0c0e"


def run() -> RunResult:
    return samples.run(
        replace(samples.old(), transcripts={SEQUENCE: BEFORE}),
        replace(samples.new(), transcripts={SEQUENCE: AFTER}),
    )


def reproducer(sequence: str, before: str, after: str) -> Reproducer:
    return Reproducer(sequence, tuple(before.split("; ")), tuple(after.split("; ")))


def test_terminal_prints_the_calls_and_both_answers() -> None:
    file = io.StringIO()
    print_details(run(), Console(file=file, width=80))
    text = file.getvalue()
    assert "    differential/skcipher.wait.gap-no_gap\n      skcipher cbc(aes) key16:\n" in text
    assert "        send 24 enc iv16 more -> 24\n" in text
    assert f"          {samples.OLD}: waits, fed 24, 48 0a0b0c0d hole 16-24 beyond\n" in text
    assert f"          {samples.NEW}: waits, fed 24, 48 0a0b0c0e\n" in text
    assert "1 sequences of calls compared; 1 answered differently" in text


def test_summary_holds_the_program() -> None:
    text = "\n".join(summary_lines(run()))
    assert "| `send 24 enc iv16 more` | 24 | 24 |" in text
    code = text.partition("~~~~python\n")[2].partition("~~~~")[0]
    ast.parse(code)
    assert "request.sendmsg([data[0:24]]" in code
    assert "\nimport os, signal, socket, struct, threading\n" in code
    assert "`hole 16-24`: received bytes that the kernel did not write" in text


def test_other_seed_is_said() -> None:
    old, new = run().kernels
    other = {SEQUENCE.replace("24", str(size)): AFTER for size in (1, 2, 3)}
    file = io.StringIO()
    print_details(
        samples.run(old, replace(new, transcripts={**new.transcripts, **other})),
        Console(file=file),
    )
    assert "1 sequences of calls compared of 4" in file.getvalue()
    assert "another --seed?" in file.getvalue()


def test_stored(tmp_path: Path) -> None:
    result = run()
    results_file.save(result, tmp_path / results_file.FILE_NAME)
    assert results_file.load(tmp_path) == result


def test_programs_of_every_call() -> None:
    subjects = (
        "aead authenc(hmac(sha256),cbc(aes)) authenc-key48 tag16",
        "aead gcm(aes)",
        "hash hmac(sha256) key20",
    )
    calls = (
        "send 0 op2 iv17 assoclen8 cmsg9 more; splice 16 more; recv 32 in 3; wait 16; "
        "wait 8 fed 0; clone; shutdown; rekey; sndbuf 1; rcvbuf 1; send 7"
    )
    answers = "EINVAL; 16; EAGAIN; waits, EINTR; EBADMSG; ok; EOPNOTSUPP; EBUSY; ok; ok; "
    for subject in subjects:
        code = program(
            reproducer(f"{subject}: {calls}", f"{answers}7", f"{answers}EIO"), "old", "new"
        )
        ast.parse(code)
        assert "data[16:23]" in code  # after the 16 bytes that were taken
        assert code.endswith("# 7 on old, EIO on new")


def test_told_steps_name_the_kernels_where_they_differ() -> None:
    lines = list(told_steps(reproducer("hash sha256: send 1; recv 32", "1; 0", "1; EIO"), "a", "b"))
    assert lines == ["hash sha256:", "  send 1 -> 1", "  recv 32", "    a: 0", "    b: EIO"]
