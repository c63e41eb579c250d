"""What is known of real kernels, on both sides of every change that the suite probes.

Each line was seen by probes other than the suite's as well (Debian's amd64 flavour, root).
"""

from __future__ import annotations

from dataclasses import dataclass

from harness.emulator import emulator_fault
from harness.judge.splats import clock_ran_ahead
from harness.model import CodeWord, Control, KernelResult, Outcome, State, Status

_PRESENT, _ABSENT = State.PRESENT, State.ABSENT


@dataclass(frozen=True)
class Truth:
    """What is known of one kernel."""

    release: str
    zero_copy: State  # of skcipher and aead input
    page_cache_write: State  # CVE-2026-31431
    holes: frozenset[str] = frozenset()  # CVEs whose fixes it lacks and that a probe sees
    restrict: int | None = None  # af_alg_restrict as booted
    whole: bool = False  # all suites in the VM tests, not only those that tell what is known
    rare: bool = False  # by ci/known_truth.py alone

    @property
    def spec(self) -> str:
        return f"debian:{self.release}"

    @property
    def is_closed(self) -> bool:
        """Whether the kernel is as a candidate is expected to be."""
        return self.zero_copy is self.page_cache_write is _ABSENT and not self.holes


_WRITERS, _SHORT_READ, _ASSOCLEN, _SHORT_DIGEST = (
    "CVE-2025-39964",
    "CVE-2026-31677",
    "CVE-2026-52972",
    "CVE-2026-46033",
)
TRUTH = (
    Truth(
        "6.12.43+deb12-amd64",
        _PRESENT,
        _PRESENT,
        frozenset({_WRITERS, _SHORT_READ, _ASSOCLEN, _SHORT_DIGEST}),
        whole=True,
    ),
    Truth("6.1.0-50-amd64", _ABSENT, _ABSENT, frozenset({_SHORT_READ})),
    Truth("6.12.95+deb13-amd64", _PRESENT, _ABSENT),
    Truth("6.12.96+deb13-amd64", _ABSENT, _ABSENT),
    Truth("6.12.117+deb13-amd64", _ABSENT, _ABSENT, rare=True),
    Truth(
        "6.18.15+deb13-amd64",
        _PRESENT,
        _PRESENT,
        frozenset({_SHORT_READ, _ASSOCLEN, _SHORT_DIGEST}),
        rare=True,
    ),
    Truth(
        "6.19.14+deb13-amd64",
        _PRESENT,
        _ABSENT,
        frozenset({_ASSOCLEN, _SHORT_DIGEST}),
        rare=True,
    ),
    Truth("7.0.13+deb13-amd64", _PRESENT, _ABSENT),
    Truth("7.1.3+deb13-amd64", _PRESENT, _ABSENT, frozenset({_ASSOCLEN}), rare=True),
    Truth("7.1.13+deb13-amd64", _ABSENT, _ABSENT, rare=True),
    Truth("7.2.12+deb13-amd64", _ABSENT, _ABSENT, rare=True),
    Truth("7.3.4+deb13-amd64", _ABSENT, _ABSENT, restrict=1, whole=True),
)


def input_paths(kernel: KernelResult) -> dict[str, State]:
    """States of the zero-copy paths by which data enters skcipher and AEAD."""
    return {
        path: fact.state
        for path, fact in kernel.facts.zero_copy.items()
        if path.startswith(("skcipher.", "aead")) and not path.endswith(".recv")
    }


#: What the witness inside the kernel saw of whatever the suite spliced.
WITNESSED = frozenset({"skcipher.suite", "aead.suite"})


def code_words(kernel: KernelResult) -> dict[str, CodeWord]:
    """What the kernel's code says of skcipher and AEAD input."""
    return {
        finding.way: finding.word
        for finding in kernel.code
        if finding.way in {"skcipher.input", "aead.input"}
    }


def known_words(truth: Truth) -> dict[str, CodeWord]:
    """What it must say: it agrees with what the probes saw on all kernels of Debian's."""
    word = CodeWord.CAN if truth.zero_copy is _PRESENT else CodeWord.CANNOT
    return dict.fromkeys(("skcipher.input", "aead.input"), word)


def unexplained_failures(kernel: KernelResult, truth: Truth) -> dict[str, str]:
    """Tests that neither passed nor were skipped, and not for a hole that is known."""
    failed = {
        test.id: f"{test.outcome}: {test.message}"
        for test in kernel.tests
        if test.outcome not in {Outcome.PASSED, Outcome.SKIPPED}
    }
    return {
        test: said
        for test, said in failed.items()
        if not (test.startswith("security/") and any(hole in said for hole in truth.holes))
    }


def reports(kernel: KernelResult) -> list[str]:
    """What the kernel reported of itself, but for what is QEMU's as the judge has it.

    That is a clock that jumped, and the end of a boot by a fault of TCG's, which was repeated.
    """
    if not kernel.boots:
        return [event.title for event in kernel.console_events]
    told = []
    for boot in kernel.boots:
        events, fault = boot.console_events, emulator_fault(boot)
        if fault is not None:
            events = events[: events.index(fault)]
        told += [event.title for event in events if not clock_ran_ahead(event, boot.accel)]
    return told


def contradictions(kernel: KernelResult, truth: Truth) -> list[str]:
    """In what a stored result contradicts what is known, a sentence each; [] if in nothing."""
    paths = input_paths(kernel)
    write = kernel.facts.page_cache_write
    held = {
        f"status {kernel.status}: {kernel.status_reason}": kernel.status is Status.COMPLETED,
        f"release {kernel.release}": kernel.release == truth.release,
        f"taint {kernel.taint_before} -> {kernel.taint}": kernel.taint_before == kernel.taint == 0,
        f"console: {reports(kernel)}": not reports(kernel),
        f"zero-copy input {paths}": len(paths) > 30
        and paths.keys() >= WITNESSED
        and set(paths.values()) == {truth.zero_copy},
        f"code {kernel.code}": code_words(kernel) == known_words(truth),
        f"page_cache_write {write}": write is not None
        and (write.state, write.control) == (truth.page_cache_write, Control.FIRED),
        f"af_alg_restrict {kernel.facts.af_alg_restrict}": kernel.facts.af_alg_restrict
        == truth.restrict,
        f"verdict {kernel.verdict}": kernel.verdict.ok is truth.is_closed,
    }
    failed = unexplained_failures(kernel, truth)
    return [said for said, holds in held.items() if not holds] + [
        f"{test} {said}" for test, said in failed.items()
    ]
