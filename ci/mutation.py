"""How many alterations of the kernel's AF_ALG code does the suite notice?

    .venv/bin/python ci/mutation.py --sample 150 [--seed 1] [--jobs 2] [--only REGEX]
        [--out DIR] [--resume] [--retry-survivors]

Builds Debian's AF_ALG modules with one thing altered at a time (ci/mutants.py says what,
and how a sample is drawn: of each 100 mutants 40 are of one line, 25 take pages by reference
again under a condition, 25 are of one line under a condition, 10 are faults written by
hand), boots the kernel with them and runs the suite, those tests first that are about the
altered function. A mutant is caught if the kernel dies or any test, fact or answer is other
than with the unaltered modules; its guest is ended at the first of these. What survives is
either equivalent (ci/mutant_survivors.py has the reasons) or a test that is missing. One that
does not build, or to the same machine code, costs nothing: another one takes its place.

Results are appended to ``results.jsonl`` in ``--out`` as they come. ``--resume`` tries what
is not in there yet, ``--retry-survivors`` what survived as well. The build tools lie in a root
of their own (``--work``, some 1.5 GB, made by mmdebstrap as root), since modules want the
compiler that built their kernel. Exits with 1 if fewer than 95 % of those that are not
equivalent were caught.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import queue
import re
import shutil
import sys
import threading
import time
from collections import Counter
from collections.abc import Collection, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from kernel_tree import reverted_removal
from mutant_orders import order_for
from mutant_survivors import reason_of
from mutants import (
    ZERO_COPY_BASE,
    Mutant,
    Sample,
    every_mutant,
    function_at,
    zero_copy_base,
)

from harness.guest.bytecode import add_bytecode
from harness.guest.image import guest_image
from harness.guest.inside import records
from harness.guest.journal import EVENTS
from harness.guest.observe import Deadlines, observe
from harness.guest.parsing import Sent, parse_object
from harness.guest.payload import Selection, write_payload
from harness.guest.replay import replay
from harness.guest.session import GuestSettings
from harness.guest.vng import Root
from harness.kernels.resolve import resolve
from harness.kernels.sources import KernelSources
from harness.locations import default_cache_dir
from harness.mirror import find_machine_mirror
from harness.model import FAILURES, BootableKernel, KernelResult, Role, State, Status
from harness.processes import finish, run
from harness.progress import SilentProgress

RELEASE, SUITE, SOURCE = "7.3.4+deb13-amd64", "trixie", "linux-source-7.3"
FILES = ("af_alg.c", "algif_aead.c", "algif_hash.c", "algif_rng.c", "algif_skcipher.c")
#: A test's time: far above what any takes, so that a mutant that hangs costs little.
TEST_SECONDS = 30.0
_WANTED = 0.95
_BASE = "unaltered"
_OURS = re.compile(r"\b(?:af_alg|alg_|algif_)")

#: Builds in the root: objtool looks into /proc, which only this process sees mounted.
_BUILD = """
mount -t proc proc "$0/proc" &&
exec chroot "$0" sh -c "make -C /usr/src/linux-headers-$1 M=/build/$2 modules && cd /build/$2 &&
    for object in $3; do objcopy --strip-debug -R .comment \\$object \\$object.code; done"
"""


@dataclass(frozen=True)
class Built:
    """A module made of altered sources."""

    module: Path
    code: str  # checksum of its machine code


class Workshop:
    """The root with compiler, kernel headers and sources, and the kernel to alter."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.root = directory / "root"
        sources = directory / "crypto"
        self.kernel = resolve(
            f"debian:{RELEASE}", KernelSources(default_cache_dir()), SilentProgress()
        )
        if not sources.is_dir():
            self._set_up(sources)
        merged = directory / "af_alg-with-zero-copy.c"
        if not merged.is_file():
            merged.write_bytes(reverted_removal(directory, directory))
        self.texts = {file: (sources / file).read_text() for file in FILES}
        self.texts[ZERO_COPY_BASE] = zero_copy_base(merged.read_text())
        self._base = self.root / "build" / _BASE
        self._modules = directory / "modules"
        self._modules.mkdir(exist_ok=True)
        self._image = directory / f"{_BASE}.ext4"
        self._build_base()

    def _set_up(self, sources: Path) -> None:
        shutil.rmtree(self.root, ignore_errors=True)
        self.directory.mkdir(parents=True, exist_ok=True)
        mirror = find_machine_mirror().main
        packages = f"linux-headers-{RELEASE},{SOURCE},make,gcc-14,xz-utils"
        lines = [f"deb {mirror} {suite} main" for suite in (SUITE, f"{SUITE}-backports")]
        run(
            [
                "mmdebstrap",
                "--variant=essential",
                f"--include={packages}",
                SUITE,
                self.root,
                *lines,
            ],
            doing="making a root with the kernel's compiler",
        )
        unpacked = self.directory / "unpacked"
        unpacked.mkdir(exist_ok=True)
        archive = self.root / f"usr/src/{SOURCE}.tar.xz"
        members = [f"{SOURCE}/crypto/{file}" for file in FILES]
        run(["tar", "-xf", archive, "-C", unpacked, *members], doing="unpacking the sources")
        (unpacked / SOURCE / "crypto").rename(sources)

    def _build_base(self) -> None:
        """The modules as released, and the guest's modules with them: all else is built on it."""
        objects = [file.replace(".c", ".o") for file in FILES]
        if not (self._base / f"{objects[0]}.code").is_file():
            shutil.rmtree(self._base, ignore_errors=True)
            self._base.mkdir(parents=True)
            for file in FILES:
                (self._base / file).write_text(self.texts[file])
            (self._base / "Makefile").write_text(f"obj-m := {' '.join(objects)}\n")
            problem = self._make(_BASE, " ".join(objects))
            if problem:
                raise SystemExit(f"the unaltered modules do not build: {problem}")
        self.codes = {file: _code(self._base, file) for file in FILES}
        self._install([self._base / file.replace(".c", ".ko") for file in FILES], self._image)

    def _make(self, name: str, objects: str) -> str:
        """Build in a directory of the root; returns the errors, "" if it builds."""
        script = ["sh", "-c", _BUILD, str(self.root), RELEASE, name, objects]
        made = finish(["unshare", "--mount", *script])
        errors = [line for line in made.stderr.splitlines() if "error" in line.lower()]
        return "" if made.returncode == 0 else "; ".join(errors[:2]) or made.stderr[-300:]

    def build(self, mutant: Mutant) -> Built | str:
        """The module of an altered source, kept for the next time; or why it does not build."""
        text = mutant.applied(self.texts)
        stem = mutant.file.removesuffix(".c")
        key = hashlib.sha256(f"{mutant.file} {text}".encode()).hexdigest()[:16]
        kept, noted = (self._modules / f"{stem}.{key}{end}" for end in (".ko", ".json"))
        if not noted.is_file():
            work = self.root / "build" / key
            shutil.rmtree(work, ignore_errors=True)
            shutil.copytree(self._base, work)  # with its times: make sees what is new
            (work / mutant.file).write_text(text)
            problem = self._make(key, f"{stem}.o")
            code = ""
            if not problem:
                code = _code(work, mutant.file)
                shutil.move(work / f"{stem}.ko", kept)
            noted.write_text(json.dumps({"problem": problem, "code": code}))
            shutil.rmtree(work)
        said = json.loads(noted.read_text())
        return said["problem"] or Built(kept, said["code"])

    def kernel_with(self, built: Built | None, image: Path) -> BootableKernel:
        """The kernel with an altered module in a new image; None: with the unaltered ones."""
        if built is None:
            shutil.copyfile(self._image, image)
        else:
            self._install([built.module], image, self._image)
        return replace(self.kernel, spec=image.parent.name, modules_image=image)

    def _install(self, modules: list[Path], image: Path, base: Path | None = None) -> None:
        """Make an image of the guest's modules with some of them replaced."""
        source = base or self.kernel.modules_image
        assert source is not None
        shutil.copyfile(source, image)
        script = image.with_suffix(".debugfs")
        names = [
            (module, f"kernel/crypto/{module.name.partition('.')[0]}.ko") for module in modules
        ]
        script.write_text("".join(f"rm {name}\nwrite {module} {name}\n" for module, name in names))
        run(["debugfs", "-w", "-f", script, image], doing="replacing the modules")
        script.unlink()


def _code(directory: Path, file: str) -> str:
    code = directory / file.replace(".c", ".o.code")
    return hashlib.sha256(code.read_bytes()).hexdigest()


class Expected:
    """What was seen on the unaltered modules, in any of several boots."""

    def __init__(self) -> None:
        self._said: dict[tuple[str, ...], set[str]] = {}

    def add(self, record: records.Record) -> None:
        """Take what the unaltered kernel said."""
        for what, said in _statements(record):
            self._said.setdefault(what, set()).add(said)

    def deviation(self, record: records.Record) -> str:
        """What of a record is other than expected, "" if nothing is."""
        for what, said in _statements(record):
            expected = self._said.get(what)
            is_new = expected is None and (what[0] == "taint" or said == State.PRESENT)
            if is_new or (expected is not None and said not in expected):
                message = getattr(record, "message", "")
                return " ".join(f"{' '.join(what[:2])} {said[:60]} {message[:160]}".split())
        return ""


def _statements(record: records.Record) -> Iterator[tuple[tuple[str, ...], str]]:
    """What a record says, and of what."""
    match record:
        case records.Finish():
            yield ("test", record.id), record.outcome
        case records.Probed():
            yield ("fact", record.name, record.test), record.state
        case records.Transcripts():
            for text, answers in record.transcripts.items():
                yield ("answers", text), answers
        case records.TaintChange():
            yield ("taint",), f"{record.before} {record.after}"


class Watch(SilentProgress):
    """Ends a guest as soon as it says something that is not expected."""

    def __init__(self, directory: Path, expected: Expected, stop: threading.Event) -> None:
        self._events = directory / EVENTS
        self._expected = expected
        self._stop = stop
        self._read = 0
        self.found = ""

    def report(
        self, subject: str, activity: str, fraction: float | None = None, detail: str = ""
    ) -> None:
        """Called at each record, which is then written down already."""
        if not self._events.is_file():
            return
        with self._events.open("rb") as file:
            file.seek(self._read)
            text = file.read()
        whole = text[: text.rfind(b"\n") + 1]
        self._read += len(whole)
        for record in said_in(whole.decode()):
            self.found = self.found or self._expected.deviation(record)
        if self.found:
            self._stop.set()


def said_in(events: str) -> Iterator[records.Record]:
    """The guest's records among lines of events.jsonl."""
    for line in events.splitlines():
        data = json.loads(line)
        if data.pop("by") == "guest":
            del data["host_seconds"]
            said = parse_object(data)
            if isinstance(said, Sent):
                yield said.record


@dataclass(frozen=True)
class Attempt:
    """What became of a mutant."""

    mutant: str
    kind: str
    verdict: str  # caught, survived, unknown, same code, does not build
    why: str = ""
    seconds: float = 0.0  # of its guest
    guest: str = ""  # where its console and records are, below "guests"


class Trial:
    """Runs the suite on altered kernels and tells what it noticed."""

    def __init__(self, workshop: Workshop, out: Path) -> None:
        self._workshop = workshop
        self._out = out
        image = guest_image(default_cache_dir(), None, SilentProgress())
        self._root = Root("disk", image, isolated=True)
        self._payloads: dict[tuple[str, ...], Path] = {}
        self._lock = threading.Lock()
        self._expected = Expected()
        self._events: set[tuple[str, str]] = set()

    def learn(self, name: str) -> None:
        """See what the suite says of the unaltered modules; an earlier boot of it will do."""
        tests = order_for("", "")
        directory = self._out / "guests" / name
        suite = directory / "suite.sha256"
        payload = hashlib.sha256(self._payload(tests).read_bytes()).hexdigest()
        if not (suite.is_file() and suite.read_text() == payload):
            self._observe(None, name, tests, Expected())
        result = replay(directory)
        if result.status is not Status.COMPLETED:
            raise SystemExit(f"the suite does not end on the unaltered modules: {result.status}")
        bad = [test.id for test in result.tests if test.outcome in FAILURES]
        if bad:  # then no mutant can be caught by their failing
            print(f"{name}: these fail on the unaltered modules: {', '.join(bad)}", flush=True)
        suite.write_text(payload)
        for record in said_in((directory / EVENTS).read_text()):
            self._expected.add(record)
        self._events |= {(event.kind, event.title) for event in result.console_events}
        print(f"{name}: {result.boot_seconds} + {result.suite_seconds} s", flush=True)

    def _payload(self, tests: tuple[str, ...]) -> Path:
        with self._lock:
            if tests not in self._payloads:
                path = self._out / f"payload{len(self._payloads)}.tar"
                write_payload(Selection(tests, test_seconds=TEST_SECONDS), path)
                add_bytecode(path, self._root, SilentProgress())
                self._payloads[tests] = path
            return self._payloads[tests]

    def _observe(
        self, built: Built | None, name: str, tests: tuple[str, ...], expected: Expected
    ) -> tuple[KernelResult, str]:
        directory = self._out / "guests" / name
        shutil.rmtree(directory, ignore_errors=True)
        directory.mkdir(parents=True)
        stop = threading.Event()
        watch = Watch(directory, expected, stop) if built is not None else SilentProgress()
        image = directory / "modules.ext4"
        kernel = self._workshop.kernel_with(built, image)
        deadlines = replace(Deadlines.for_accel("tcg", TEST_SECONDS), test=TEST_SECONDS + 10)
        try:
            result = observe(
                kernel,
                Role.CANDIDATE,
                GuestSettings(root=self._root, accel="tcg"),
                self._payload(tests),
                deadlines,
                directory,
                stop,
                watch,
            )
        finally:
            image.unlink()
        return result, getattr(watch, "found", "")

    def judge(self, mutant: Mutant, built: Built) -> Attempt:
        """Boot a mutant; once more if its boot stands still, which happens to any kernel."""
        started = time.monotonic()
        tests = order_for(mutant.kind, self._function(mutant))
        verdict, why = "", ""
        for _ in range(2):
            result, found = self._observe(built, built.module.stem, tests, self._expected)
            verdict, why = verdict_of(result, found, self._events)
            if verdict != "unknown":
                break
        seconds = round(time.monotonic() - started, 1)
        return Attempt(str(mutant), mutant.kind, verdict, why, seconds, built.module.stem)

    def _function(self, mutant: Mutant) -> str:
        text = self._workshop.texts[mutant.base or mutant.file]
        return f"{mutant.file}:{function_at(text, mutant.line)[0]}"


def verdict_of(
    result: KernelResult, found: str, known: Collection[tuple[str, str]]
) -> tuple[str, str]:
    """Whether a mutant was caught, and why. ``known``: reports of the unaltered kernel."""
    if found:
        return "caught", found
    why = f"{result.status}: {result.status_reason}"
    reports = [event for event in result.console_events if (event.kind, event.title) not in known]
    if result.status is Status.BOOT_FAILED:
        # A host that is too busy can make any kernel stand still, or panic for want of a
        # timer, before much of ours has run.
        ours = [event for event in reports if _OURS.search(" ".join(event.lines))]
        return ("caught", f"{why}, {ours[0].title}") if ours else ("unknown", why)
    if reports:
        title = f"{reports[0].kind}: {reports[0].title}"
        return "caught", f"{result.status}, {title} {result.fatal_test}"
    if result.status is Status.COMPLETED:
        return "survived", ""
    if result.status in {Status.CRASHED, Status.HUNG}:
        return "caught", why
    return "unknown", why


class Results:
    """What is known of each mutant, in a file that grows."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._lock = threading.Lock()
        self.known: dict[str, Attempt] = {}
        if path.is_file():
            for line in path.read_text().splitlines():
                attempt = Attempt(**json.loads(line))
                self.known[attempt.mutant] = attempt

    def add(self, attempt: Attempt) -> None:
        """Keep it, and say so."""
        with self._lock:
            self.known[attempt.mutant] = attempt
            with self._path.open("a") as file:
                file.write(json.dumps(asdict(attempt)) + "\n")
            print(f"{attempt.verdict} ({attempt.seconds} s): {attempt.why}", flush=True)
            print(f"    {attempt.mutant}", flush=True)


def build_sample(
    workshop: Workshop, sample: Sample, results: Results
) -> Iterator[tuple[Mutant, Built]]:
    """Build each of a sample; what does not build or is the same code is replaced."""
    codes = set(workshop.codes.values())
    for first in sample:
        mutant: Mutant | None = first
        while mutant is not None:
            built = workshop.build(mutant)
            if isinstance(built, Built) and built.code not in codes:
                codes.add(built.code)
                yield mutant, built
                break
            if str(mutant) not in results.known:
                if isinstance(built, Built):
                    results.add(Attempt(str(mutant), mutant.kind, "same code"))
                else:
                    results.add(Attempt(str(mutant), mutant.kind, "does not build", built))
            mutant = sample.instead(mutant)


def campaign(workshop: Workshop, sample: Sample, chosen: argparse.Namespace) -> list[Attempt]:
    """Try a sample; returns what became of each mutant."""
    results = Results(chosen.out / "results.jsonl")
    waiting: queue.Queue[tuple[Mutant, Built] | None] = queue.Queue()
    tried: list[str] = []

    def build_all() -> None:
        try:
            for number, (mutant, built) in enumerate(build_sample(workshop, sample, results), 1):
                tried.append(str(mutant))
                known = results.known.get(str(mutant))
                again = (
                    chosen.retry_survivors
                    and known is not None
                    and known.verdict in _AGAIN
                    and not reason_of(str(mutant))
                )
                if known is None or again:
                    waiting.put((mutant, built))
                if chosen.build_only:
                    print(f"{number} of {sample.size} built", flush=True)
        finally:
            for _ in range(chosen.jobs):
                waiting.put(None)

    if chosen.build_only:
        build_all()
        return []
    builder = threading.Thread(target=build_all, daemon=True)
    builder.start()
    trial = Trial(workshop, chosen.out)
    with ThreadPoolExecutor(chosen.jobs) as pool:
        list(pool.map(trial.learn, [f"{_BASE}-{number}" for number in range(chosen.boots)]))

    def work() -> None:
        while (item := waiting.get()) is not None:
            results.add(trial.judge(*item))

    with ThreadPoolExecutor(chosen.jobs) as pool:
        workers = [pool.submit(work) for _ in range(chosen.jobs)]
    for worker in workers:
        worker.result()
    builder.join()
    return [results.known[mutant] for mutant in tried if mutant in results.known]


_AGAIN = ("survived", "unknown")


def report(attempts: list[Attempt]) -> int:
    """Print how many of each kind were caught, and what survived; returns the exit code."""
    counted = Counter((attempt.kind, _counted_as(attempt)) for attempt in attempts)
    words = ("caught", "survived", "equivalent", "unknown")
    print(f"{'kind':12}{''.join(f'{word:>12}' for word in words)}")
    for kind in dict.fromkeys(attempt.kind for attempt in attempts):
        print(f"{kind:12}{''.join(f'{counted[kind, word]:12}' for word in words)}")
    for attempt in attempts:
        if attempt.verdict in _AGAIN:
            reason = reason_of(attempt.mutant) or "no reason known"
            print(f"{attempt.verdict}: {attempt.mutant}\n    {reason}")
    caught = sum(attempt.verdict == "caught" for attempt in attempts)
    whole = sum(_counted_as(attempt) != "equivalent" for attempt in attempts)
    seconds = sum(attempt.seconds for attempt in attempts) / max(1, len(attempts))
    share = caught / max(1, whole)
    print(f"caught {caught} of {whole} that are not equivalent: {share:.1%}; {seconds:.1f} s each")
    return 0 if share >= _WANTED else 1


def _counted_as(attempt: Attempt) -> str:
    if attempt.verdict == "survived" and reason_of(attempt.mutant):
        return "equivalent"
    return attempt.verdict


def main() -> int:
    """Draw a sample, try each, print the score."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--work", type=Path, default=default_cache_dir() / "mutation")
    parser.add_argument("--out", type=Path, default=Path("runs/mutation"))
    parser.add_argument("--sample", type=int, default=20, help="how many mutants (default: 20)")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1, help="guests at a time")
    parser.add_argument("--boots", type=int, default=2, help="of the unaltered modules")
    parser.add_argument("--only", default="", help="of those that --list prints like this")
    parser.add_argument("--list", action="store_true", help="print the sample and try none")
    parser.add_argument("--build-only", action="store_true", help="build the sample and try none")
    parser.add_argument("--resume", action="store_true", help="go on with what is in --out")
    parser.add_argument(
        "--retry-survivors",
        action="store_true",
        help="and try again what survived without a reason",
    )
    chosen = parser.parse_args()
    if (chosen.out / "results.jsonl").exists() and not (chosen.resume or chosen.build_only):
        parser.error(f"{chosen.out} has results; --resume goes on with them")
    chosen.out.mkdir(parents=True, exist_ok=True)
    chosen.out = chosen.out.absolute()
    workshop = Workshop(chosen.work.absolute())
    every = {
        kind: [mutant for mutant in mutants if re.search(chosen.only, str(mutant))]
        for kind, mutants in every_mutant(workshop.texts).items()
    }
    sample = Sample(every, chosen.sample, chosen.seed)
    there = ", ".join(f"{len(mutants)} {kind}" for kind, mutants in every.items())
    print(f"{there}; {sample.size} drawn with seed {chosen.seed}", flush=True)
    if chosen.list:
        print(*sample, sep="\n")
        return 0
    started = time.monotonic()
    attempts = campaign(workshop, sample, chosen)
    print(f"{time.monotonic() - started:.0f} s in all")
    return report(attempts) if attempts else 0


if __name__ == "__main__":
    sys.exit(main())
