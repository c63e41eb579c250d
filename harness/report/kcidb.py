"""kcidb.json: the run as KCIDB, the database of kernel CI, takes it (schema 5.3)."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterator, Mapping
from datetime import datetime
from itertools import chain
from typing import Any

from harness.judge.exit_code import NOTHING_KNOWN
from harness.judge.states import told_state
from harness.judge.verdict import missing_tests
from harness.model import Fact, KernelResult, Outcome, RunResult, State, Status, TestResult
from harness.report.options import ReportOptions, called
from harness.text import cut, short, xml_text

VERSION = (5, 3)
ORIGIN = "afalg_harness"

_KEY = 200  # characters of a part of an id
#: Of a log excerpt, in characters; and of a comment.
_EXCERPT = 16_000
_COMMENT = 1000

_STATUSES: Mapping[Outcome, str] = {
    Outcome.PASSED: "PASS",
    Outcome.FAILED: "FAIL",
    Outcome.CRASHED: "FAIL",  # the kernel died of it
    Outcome.TIMEOUT: "FAIL",
    Outcome.ERROR: "ERROR",
    Outcome.SKIPPED: "SKIP",
    Outcome.MISSING: "MISS",
}
_COMMIT = re.compile(r"[0-9a-f]{40}")
_NOT_PATH = re.compile(r"[^A-Za-z0-9_-]+")
_NOT_ARCHITECTURE = re.compile(r"[^a-z0-9_]+")


def pieces(result: RunResult, options: ReportOptions) -> Iterator[str]:
    """``result`` as one report: a checkout, a build and the tests of each kernel.

    MISS is a test that was planned and never reported, ERROR what could not run or is not
    known. A kernel is judged there by itself, whether it was the baseline or not.
    """
    kernels = [_Kernel(kernel, number, result, options) for number, kernel in _numbered(result)]
    report = {
        "version": {"major": VERSION[0], "minor": VERSION[1]},
        "checkouts": _unlike(kernel.checkout() for kernel in kernels),
        "builds": _unlike(kernel.build() for kernel in kernels),
        "tests": list(chain.from_iterable(kernel.tests() for kernel in kernels)),
    }
    yield json.dumps(report, indent=1) + "\n"


def _numbered(result: RunResult) -> Iterator[tuple[int, KernelResult]]:
    yield from enumerate(result.kernels, 1)


def _unlike(objects: Iterator[dict[str, Any]]) -> list[dict[str, Any]]:
    """No two with one id: one kernel may run twice, with other arguments."""
    return list({one["id"]: one for one in objects}.values())


class _Kernel:
    """The objects of one kernel."""

    def __init__(
        self, kernel: KernelResult, number: int, result: RunResult, options: ReportOptions
    ) -> None:
        self._kernel = kernel
        self._prefix = f"{ORIGIN}:{_key(result.id or result.started)}-{number}"
        self._name = called(kernel, result.kernels, options)
        self._result = result
        self._url = options.url
        self._checks = {check.id: check for check in kernel.verdict.checks}

    def _identity(self) -> str:
        """What tells this kernel from any other, the same in every run of it."""
        kernel = self._kernel
        known = kernel.kernel
        parts = (known.commit, known.build_id, *known.packages) if known is not None else ()
        told = next((part for part in parts if part), "") or f"{kernel.release}-{kernel.spec}"
        return f"{ORIGIN}:{_key(told)}"

    def checkout(self) -> dict[str, Any]:
        """Where the source came from."""
        kernel = self._kernel
        made: dict[str, Any] = {
            "id": self._identity(),
            "origin": ORIGIN,
            "comment": _line(kernel.exact or kernel.spec),
            "valid": True,
        }
        if kernel.release:
            made["git_commit_name"] = _line(kernel.release)
        commit = kernel.kernel.commit if kernel.kernel is not None else ""
        if _COMMIT.fullmatch(commit):
            made["git_commit_hash"] = commit
        return made

    def build(self) -> dict[str, Any]:
        """The kernel itself."""
        kernel, known = self._kernel, self._kernel.kernel
        made: dict[str, Any] = {
            "id": self._identity(),
            "checkout_id": self._identity(),
            "origin": ORIGIN,
            "comment": _line(self._name),
            "misc": {
                "packages": [_line(f"{one.name} {one.version}") for one in kernel.packages],
                "config": {_line(name): _line(value) for name, value in kernel.config.items()},
            },
        }
        if kernel.status is not Status.UNAVAILABLE:
            made["status"] = "PASS"
        if known is not None and known.architecture:
            made["architecture"] = _NOT_ARCHITECTURE.sub("_", known.architecture.lower())
        if known is not None and known.compiler:
            made["compiler"] = _line(known.compiler)
        return made

    def tests(self) -> Iterator[dict[str, Any]]:
        """The boot, the facts and the tests."""
        kernel = self._kernel
        yield self._boot()
        for name, fact in kernel.facts.named().items():
            yield self._fact(name, fact)
        for test in kernel.tests:
            yield self._test(test)
        reported = {test.id for test in kernel.tests}
        for name in missing_tests(kernel):
            if name not in reported:
                message = "planned, never reported"
                yield self._test(TestResult(name, Outcome.MISSING, message=message))

    def _object(self, path: str, status: str) -> dict[str, Any]:
        parts = (_NOT_PATH.sub("_", part).strip("_") for part in re.split(r"\.py::|[/.]", path))
        made: dict[str, Any] = {
            "id": f"{self._prefix}-{_key(path)}",
            "build_id": self._identity(),
            "origin": ORIGIN,
            "path": ".".join(["afalg", *(part[:_KEY] for part in parts if part)]),
            "status": status,
        }
        if self._url:
            made["log_url"] = self._url
        return made

    def _environment(self) -> str:
        host, identity = self._result.host, self._kernel.identity
        told = [f"QEMU {host.qemu}", f"accelerator {host.accel}"]
        if identity is not None:
            told += [f"CPU {identity.cpu}"] * bool(identity.cpu)
            told.append(f"command line {identity.cmdline}")
        return ", ".join(told)

    def _boot(self) -> dict[str, Any]:
        """Whether the kernel could be run to the end."""
        kernel = self._kernel
        if kernel.status is Status.COMPLETED:
            status = "PASS"
        elif kernel.status in {*NOTHING_KNOWN, Status.INTERRUPTED}:
            # A kernel that does not boot where another does is at fault (the judge says so).
            status = "ERROR" if kernel.verdict.unknown else "FAIL"
            status = "ERROR" if kernel.status is not Status.BOOT_FAILED else status
        else:
            status = "FAIL"
        made = self._object("boot", status)
        made["environment"] = {"comment": _line(self._environment())}
        if kernel.status_reason:
            made["comment"] = _line(kernel.status_reason)
        lines = [line for event in kernel.console_events for line in (event.title, *event.lines)]
        if lines:
            made["log_excerpt"] = _excerpt("\n".join(lines))
        started = kernel.boots[0].started if kernel.boots else ""
        if _is_time(started):
            made["start_time"] = started
        if kernel.wall_seconds is not None:
            made["duration"] = kernel.wall_seconds
        return made

    def _fact(self, name: str, fact: Fact) -> dict[str, Any]:
        state, check = told_state(name, fact), self._checks.get(name)
        if state is State.UNKNOWN:
            status = "ERROR"
        elif check is None:
            status = "DONE"  # nobody said what it should be
        else:
            status = "PASS" if check.met else "FAIL"
        if state is State.UNREACHABLE and status != "FAIL":
            status = "SKIP"
        made = self._object(f"facts.{name}", status)
        made["comment"] = _line(f"{state}: {fact.evidence}")
        made["misc"] = {"state": _line(state)}
        return made

    def _test(self, test: TestResult) -> dict[str, Any]:
        made = self._object(test.id, _STATUSES[test.outcome])
        made["duration"] = test.seconds
        if test.message:
            made["comment"] = _line(test.message)
        if test.details:
            made["log_excerpt"] = _excerpt(test.details)
        return made


def _key(text: str) -> str:
    """A part of an id: as it is, or cut and still unlike any other."""
    if len(text) <= _KEY:
        return xml_text(text)
    mark = hashlib.sha256(text.encode(errors="surrogatepass")).hexdigest()[:16]
    return f"{xml_text(text[:_KEY])}~{mark}"


def _line(text: str) -> str:
    return xml_text(short(text, _COMMENT))


def _excerpt(text: str) -> str:
    return xml_text(cut(text, _EXCERPT))


def _is_time(text: str) -> bool:
    try:
        return datetime.fromisoformat(text).tzinfo is not None
    except ValueError:
        return False
