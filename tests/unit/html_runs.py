"""Runs for the tests of the HTML report."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from harness.guest.inside.records import END_MARKER, start_marker
from harness.model import (
    Attempt,
    Boot,
    Change,
    ChangeClass,
    Comparison,
    ConsoleEvent,
    Control,
    Fact,
    Facts,
    KernelResult,
    Outcome,
    Reproducer,
    Role,
    RunResult,
    State,
    Status,
    TestResult,
    Verdict,
)
from tests.stored_runs import stored_run

#: Would run, load something and end the data's element, were it taken for markup.
EVIL = (
    "<script>window.pwned=1</script><img src=https://evil.example/ onerror=pwned=1>"
    "</script></style></pre><b>'\"`${pwned=1}{{ 7*7 }}"
)
#: As it comes with controls, bytes that were no text, and what turns the direction around it.
RAW = f"{EVIL}\x00\x1b[31m\x9b\udcff\u202e\ufffe]]>"
EVIL_TEST = f"suite/test_x.py::test_evil[{RAW}]"
MARKER = "afalg-harness: start suite/test_x.py::test_evil"


def hostile_run() -> RunResult:
    """Two kernels of which all texts that a guest, a package or a user wrote are attacks."""
    real = stored_run()
    baseline = _hostile_kernel(Role.BASELINE, "1")
    candidate = _hostile_kernel(Role.CANDIDATE, "2")
    reproducer = Reproducer(f"{RAW}: send 1 more; recv 2", (RAW, RAW), (RAW, "2"))
    change = Change(EVIL_TEST, ChangeClass.REGRESSED, "passed", "failed", RAW, reproducer)
    return replace(
        real,
        command=RAW,
        id=RAW,
        exit_code=1,
        host=replace(real.host, accel_reason=RAW, qemu=RAW),
        kernels=(baseline, candidate),
        comparisons=(
            Comparison(
                baseline.release,
                candidate.release,
                (change,),
                baseline_spec=baseline.spec,
                candidate_spec=candidate.spec,
            ),
        ),
    )


def _hostile_kernel(role: Role, name: str) -> KernelResult:
    test = TestResult(
        EVIL_TEST,
        Outcome.FAILED,
        float("nan"),
        RAW,
        f"{RAW}\n{'x' * 3_000_000}\n{RAW}",
        charged=RAW,
        attempts=(Attempt(1, Outcome.FAILED, RAW), Attempt(2, Outcome.PASSED)),
    )
    quiet = TestResult("suite/test_x.py::test_quiet", Outcome.PASSED, 1e300)
    event = ConsoleEvent("warning", RAW, 1.0, EVIL_TEST, (RAW, "y" * 2_000_000))
    fact = Fact(State.PRESENT, Control.FIRED, RAW, EVIL_TEST, value=RAW)
    return KernelResult(
        spec=f"{RAW}{name}",
        release=f"{RAW}{name}",
        role=role,
        status=Status.COMPLETED,
        status_reason=RAW,
        console_events=(event,),
        boots=(Boot(Status.COMPLETED, RAW, asked=(RAW,), started=RAW),),
        facts=Facts(
            zero_copy={"skcipher.splice_file": fact, RAW: fact},
            page_cache_write=fact,
            other={RAW: fact, f"consumers.{RAW}": fact},
        ),
        transcripts={RAW: RAW},
        plan=(EVIL_TEST, quiet.id, RAW),
        tests=(test, quiet),
        notes=(RAW,),
        append=(RAW,),
        directory="kernels/evil",
        reproduce=f"afalg-harness run '{EVIL.replace(chr(39), '')}'",
        config={RAW: RAW},
        verdict=Verdict(False, (RAW,), (RAW,)),
    )


def with_console(run: RunResult, place: Path) -> None:
    """Lay a console.log below the run directory ``place`` for each kernel of ``run``."""
    for kernel in run.kernels:
        lines = [
            "[ 0.1] [    0.000000] Linux version",
            f"[ 1.0] [    1.000000] {start_marker(EVIL_TEST)}",
            "[ 1.1] [    1.100000] a line of the kernel",
            f"[ 1.2] [    1.200000] {RAW}",
            f"[ 1.3] [    1.300000] {start_marker('suite/test_x.py::test_quiet')}",
            f"[ 1.4] [    1.400000] {END_MARKER}",
        ]
        path = place / kernel.directory / "console.log"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("\n".join(lines), encoding="utf-8", errors="replace")
