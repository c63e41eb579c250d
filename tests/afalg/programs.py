"""Runs programs that use AF_ALG, and says whether they did their job, and by AF_ALG.

A program's exit status alone is no evidence: stress-ng exits 0 having done nothing,
cryptsetup exits 0 with rows of N/A. A ``Job`` therefore checks what came out; and kprobes
on alg_bind() and af_alg_accept() (crypto/af_alg.c, the same names from 6.1 to 7.3) tell
which algorithms the program asked the kernel for, and whether it made a request at all.
"""

from __future__ import annotations

import errno
import os
import re
import resource
import shutil
import signal
import subprocess
import time
from collections import Counter
from collections.abc import Callable
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import af_alg
from credentials import NOBODY_ID
from restriction import Policy
from unavailable import RESTRICT, Unavailable, restriction

from harness.guest.inside.words import Cause, Reason

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from conftest import RecordFact

#: Share of its time in which a program computes that is slow and does not sleep.
_BUSY = 0.5
_SECONDS = 13.0  # for all programs of one job; two jobs stay below the time limit of a test
#: A little more than cryptsetup's benchmark wants to have measured.
_MEASURED = 1.05  # seconds
_LOOK = 0.03  # seconds between two looks at what was asked for; a measurement takes longer


class Missing(Unavailable):
    """The guest lacks something that the job needs; says what."""

    def __init__(self, name: str, problem: str, cause: Cause = Cause.HOST) -> None:
        super().__init__(f"{name}: {problem}", Reason(cause, name=name))


class Unfinished(Unavailable):
    """A program was ended at its time limit."""


# What the kernel was asked for

_TRACING = Path("/sys/kernel/tracing")
_GROUP = "afalg_programs"
_EVENTS = (
    "p:{group}/bind alg_bind type=+2($arg2):string name=+24($arg2):string",
    "r:{group}/bound alg_bind result=$retval:s32",
    "p:{group}/accept af_alg_accept",
)
_LINE = re.compile(r"-(?P<pid>\d+)\s+\[\d+\] .*?: (?P<event>\w+): \(.*?\) ?(?P<rest>.*)$")
_ADDRESS = re.compile(r'type="([^"]*)" name="([^"]*)"')
_UNREADABLE = ("?", "?")


#: A program that is refused more binds tries whatever it knows: no single one is the reason.
_FEW = 3


@dataclass
class Use:
    """What was asked of AF_ALG while it was watched."""

    told: bool  # whether there was anything to watch with
    refusals: list[af_alg.NotOffered] = field(default_factory=list)
    requests: int = 0

    def __str__(self) -> str:
        if not self.told:
            return "AF_ALG calls not watched"
        refusals = [str(one) for one in self.different()]
        if len(refusals) > _FEW:
            refusals = [f"refused binds: {len(refusals)}"]
        return "; ".join([f"requests accepted: {self.requests}", *refusals])

    def different(self) -> list[af_alg.NotOffered]:
        """The refusals, each once."""
        return list({str(one): one for one in self.refusals}.values())

    @property
    def reason(self) -> Reason | None:
        """The refusal that may have made a program fail; None if no single one can have."""
        refusals = self.different()
        unknown = [one.reason for one in refusals if one.reason.errno == "ENOENT"]
        return unknown[0] if unknown and len(refusals) <= _FEW else None


def _append(path: Path, text: str) -> None:
    # open() for appending would seek to the end, which tracefs refuses.
    descriptor = os.open(path, os.O_WRONLY | os.O_APPEND)
    try:
        os.write(descriptor, f"{text}\n".encode())
    finally:
        os.close(descriptor)


class Watcher:
    """Kprobes in a trace instance of their own; ``close()`` takes them away again."""

    def __init__(self) -> None:
        self._instance = _TRACING / "instances" / _GROUP
        self._working = False
        try:
            for event in _EVENTS:
                _append(_TRACING / "kprobe_events", event.format(group=_GROUP))
            self._instance.mkdir()
            (self._instance / "events" / _GROUP / "enable").write_text("1")
            self._working = True
        except OSError:
            self.close()

    def close(self) -> None:
        """Undo everything that was set up."""
        self._working = False
        if self._instance.is_dir():
            with suppress(OSError):
                (self._instance / "events" / _GROUP / "enable").write_text("0")
            with suppress(OSError):
                self._instance.rmdir()
        for event in ("bind", "bound", "accept"):
            with suppress(OSError):
                _append(_TRACING / "kprobe_events", f"-:{_GROUP}/{event}")

    def requests(self) -> Mapping[int, int]:
        """How many requests each process has made since ``watch()`` began; none if not watched."""
        if not self._working:
            return {}
        lines = (self._instance / "trace").read_text().splitlines()
        matches = filter(None, map(_LINE.search, lines))
        return Counter(int(match["pid"]) for match in matches if match["event"] == "accept")

    @contextmanager
    def watch(self) -> Iterator[dict[int, Use]]:
        """What each process asked for inside; it is known at the end, 0 stands for all."""
        uses = {0: Use(self._working)}
        if not self._working:
            yield uses
            return
        (self._instance / "trace").write_text("")
        try:
            yield uses
        finally:
            asked: dict[str, tuple[str, str]] = {}
            for line in (self._instance / "trace").read_text().splitlines():
                match = _LINE.search(line)
                if match is None:
                    continue
                pid, event, rest = match.groups()
                own = uses.setdefault(int(pid), Use(told=True))
                address = _ADDRESS.search(rest)
                if event == "bind":
                    asked[pid] = (address[1], address[2]) if address else _UNREADABLE
                elif event == "accept":
                    own.requests += 1
                    uses[0].requests += 1
                elif not rest.endswith("=0"):
                    number = -int(rest.rpartition("=")[2])
                    name = errno.errorcode.get(number, str(number))
                    refusal = af_alg.not_bound(
                        *asked.get(pid, _UNREADABLE), name, restrict=restriction()
                    )
                    for use in (own, uses[0]):
                        use.refusals.append(refusal)


# Programs


@dataclass(frozen=True)
class Finished:
    """How a program ended and what it wrote."""

    status: int
    output: bytes
    errors: str

    @property
    def failure(self) -> str:
        """Why it did not succeed, by its own account; "" if it claims success."""
        if self.status == 0:
            return ""
        lines = [line.strip() for line in self.errors.splitlines() if line.strip()]
        return f"exit {self.status}" + (f", {lines[-1][:120]}" if lines else "")


class Runner:
    """Starts programs as root or as nobody, all within one time limit."""

    def __init__(self, directory: Path, *, nobody: bool) -> None:
        self.directory = directory
        self.nobody = nobody
        self.deadline = time.monotonic() + _SECONDS

    def file(self, name: str, contents: bytes) -> Path:
        """A file that the program can read and write."""
        path = self.directory / name
        path.write_bytes(contents)
        path.chmod(0o666)
        return path

    def start(
        self, argv: Sequence[str | Path], keep: tuple[int, ...] = ()
    ) -> subprocess.Popen[bytes]:
        """A program in a session of its own."""
        if shutil.which(argv[0]) is None:
            raise Missing(str(argv[0]), "not in this guest")
        process = subprocess.Popen(
            argv,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            cwd=self.directory,
            env={**os.environ, "DM_DISABLE_UDEV": "1"},
            start_new_session=True,
            pass_fds=keep,
            user=NOBODY_ID if self.nobody else None,
            group=NOBODY_ID if self.nobody else None,
            extra_groups=[] if self.nobody else None,
        )
        return process

    def finish(self, process: subprocess.Popen[bytes], stdin: bytes = b"") -> Finished:
        """Wait for the program. Raises Unfinished at the time limit; it is gone then."""
        try:
            output, errors = process.communicate(
                stdin, timeout=max(0.1, self.deadline - time.monotonic())
            )
        except subprocess.TimeoutExpired:
            raise self._unfinished(process) from None
        finally:
            _end(process)
        return Finished(process.returncode, output, errors.decode(errors="replace"))

    def _unfinished(self, process: subprocess.Popen[bytes]) -> Unfinished:
        """Whether it was slow, which is the machine's fault, or slept, which is the kernel's."""
        before = _seconds_of_children()
        _end(process)
        spent = _seconds_of_children() - before
        slow = spent > _SECONDS * _BUSY
        words = f"no end within {_SECONDS:g} s, of which it computed for {spent:.1f} s"
        return Unfinished(f"{process.args!r}: {words}", Reason(Cause.HOST if slow else Cause.OTHER))

    def run(
        self, argv: Sequence[str | Path], stdin: bytes = b"", keep: tuple[int, ...] = ()
    ) -> Finished:
        """Start a program and wait for it."""
        return self.finish(self.start(argv, keep), stdin)


def hasten(
    processes: Sequence[subprocess.Popen[bytes]],
    requests: Callable[[], Mapping[int, int]],
    deadline: float,
) -> None:
    """Wait for programs that repeat a request until a second has gone by, and let them repeat few.

    cryptsetup's benchmark takes the time, by the clock, of one request after another, until they
    took a second in either direction (crypt_cipher_perf_kernel in its cipher_check.c). A program
    that is stopped amid one finds that this one took a second, and the CPU is idle meanwhile.
    ``requests`` tells how many each process has begun; without it they compute all that time.
    Returns when all have ended, at the latest at ``deadline``; none stays stopped.
    """
    seen: Mapping[int, int] = {}
    goes_on: dict[subprocess.Popen[bytes], float] = {}  # those that are stopped, and until when
    try:
        while (now := time.monotonic()) < deadline:
            running = [process for process in processes if process.poll() is None]
            if not running:
                return
            made = requests()
            for process in running:
                if goes_on.get(process, deadline) <= now:
                    del goes_on[process]
                    seen = {**seen, process.pid: made.get(process.pid, 0)}
                    process.send_signal(signal.SIGCONT)
                elif process not in goes_on and made.get(process.pid, 0) > seen.get(process.pid, 0):
                    goes_on[process] = now + _MEASURED
                    process.send_signal(signal.SIGSTOP)
            all_stopped = len(goes_on) == len(running)
            time.sleep(max(_LOOK, min(goes_on.values()) - now) if all_stopped else _LOOK)
    finally:
        for process in goes_on:
            process.send_signal(signal.SIGCONT)


def _end(process: subprocess.Popen[bytes]) -> None:
    """Kill a program that still runs, with all that it started."""
    if process.poll() is None:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.communicate()


def _seconds_of_children() -> float:
    """CPU time of all children that have ended."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


#: Runs programs; returns why they did not do their job, "" if they did. Raises Missing,
#: Unfinished, or AssertionError if success was claimed and the output is wrong.
Job = Callable[[Runner], str]


@dataclass(frozen=True)
class Trial:
    """One job done or not."""

    failure: str
    use: Use


class Observer:
    """Tries a job as booted and, if it fails there, with the policy opened; records the fact."""

    def __init__(self, watcher: Watcher, directory: Path, record_fact: RecordFact) -> None:
        self._watcher = watcher
        self._directory = directory
        self._record = record_fact

    def observe(
        self, fact: str, user: str, job: Job, first: Callable[[], Trial] | None = None
    ) -> None:
        """Record ``consumers.FACT.USER``: works, fails, unreachable or unknown.

        ``first`` gives the trial as booted, if it is not this one's to make.
        """
        fact = f"consumers.{fact}.{user}"
        try:
            self._judge(fact, user, job, first or partial(self._try, user, job))
        except (Missing, Unfinished) as lack:
            state = "unreachable" if isinstance(lack, Missing) else "unknown"
            self._record(fact, state=state, evidence=str(lack), reason=lack.reason)
            lack.skip()
        except AssertionError as wrong:
            line = next(iter(str(wrong).splitlines()), "")
            self._record(
                fact,
                state="fails",
                control="fired",
                evidence=f"wrong output: {line}",
                reason=Reason(Cause.OTHER),
            )
            raise

    def _judge(self, fact: str, user: str, job: Job, attempt: Callable[[], Trial]) -> None:
        refused = _refused_socket()
        level = int(RESTRICT.read_text()) if RESTRICT.exists() else 0
        at = f" at af_alg_restrict={level}" if RESTRICT.exists() else ""
        first = attempt()
        if not first.failure:
            # Success without a single request is somebody else's: it says nothing of AF_ALG.
            used = "fired" if first.use.requests else "failed"
            control = used if first.use.told else "not_run"
            self._record(fact, state="works", control=control, evidence=f"works{at}; {first.use}")
            return
        fired = bool(first.use.refusals or first.use.requests or refused)
        told = first
        evidence = f"fails{at}"
        if level:
            with Policy().at(0):
                told = self._try(user, job)
            fired = fired or not told.failure
            evidence += " and at 0" if told.failure else ", works at 0"
        # What the kernel says with the policy opened is the reason, if it fails there, too.
        use = told.use if told.failure else first.use
        no_socket = refused.reason if refused and told is first else None
        reason = no_socket or use.reason or Reason(Cause.OTHER)
        if not told.failure:
            reason = replace(reason, cause=Cause.PROGRAM_RESTRICTED, restrict=level)
        words = [first.failure, str(refused or ""), str(use)]
        self._record(
            fact,
            state="fails",
            control="fired" if fired else "not_run" if not first.use.told else "failed",
            evidence="; ".join([evidence, *filter(None, words)]),
            reason=reason,
        )

    def _try(self, user: str, job: Job) -> Trial:
        runner = Runner(self._directory, nobody=user == "nobody")
        with self._watcher.watch() as uses:
            failure = job(runner)
        return Trial(failure, uses[0])


def _refused_socket() -> af_alg.NotOffered | None:
    try:
        af_alg.open_socket().close()
    except af_alg.NotOffered as refusal:
        return refusal
    return None
