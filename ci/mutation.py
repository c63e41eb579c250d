"""How many one-line alterations of the kernel's AF_ALG code does the suite notice?

    .venv/bin/python ci/mutation.py --sample 40 [--seed 1] [--jobs 2] [--only REGEX]

Builds Debian's AF_ALG modules with one line altered at a time (conditions turned round,
comparisons and arithmetic swapped, constants and errno changed, statements left out), boots
the kernel with them and runs the suite. A mutant is caught if the kernel dies or any test
or fact is other than with the unaltered modules; what survives is either equivalent or a
test that is missing. The build tools lie in a root of their own (``--work``, some 1.5 GB,
made by mmdebstrap as root), since modules want the compiler that built their kernel.
"""

from __future__ import annotations

import argparse
import os
import random
import re
import shutil
import subprocess
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path

from harness.guest.image import guest_image
from harness.guest.observe import Deadlines, observe
from harness.guest.payload import Selection, write_payload
from harness.guest.session import GuestSettings
from harness.guest.vng import Root
from harness.kernels.resolve import resolve
from harness.kernels.sources import KernelSources
from harness.locations import default_cache_dir
from harness.mirror import find_machine_mirror
from harness.model import BootableKernel, KernelResult, Outcome, Role, Status
from harness.processes import run
from harness.progress import SilentProgress

RELEASE, SUITE, SOURCE = "7.3.4+deb13-amd64", "trixie", "linux-source-7.3"
FILES = ("af_alg.c", "algif_aead.c", "algif_hash.c", "algif_rng.c", "algif_skcipher.c")
SUITES = ("zero_copy", "functional", "policy", "security", "differential")

#: Lines that say nothing of behaviour a guest can see: locks against what does not happen
#: in it, reports to developers, declarations.
_LEFT_OUT = re.compile(
    r"lock_sock|release_sock|_lock\(|_unlock|rcu_|WARN_|BUG_ON|pr_|MODULE_|EXPORT_|^\s*[*/]|#"
    r"|module_(?:init|exit)|^\S.*[({,]$|memzero_explicit|kfree_sensitive"
)
_SWAPS = {
    " < ": " >= ",
    " <= ": " < ",
    " > ": " <= ",
    " >= ": " > ",
    " == ": " != ",
    " != ": " == ",
    " && ": " || ",
    " || ": " && ",
    " + ": " - ",
    " - ": " + ",
    " += ": " -= ",
    " -= ": " += ",
    "true": "false",
    "false": "true",
    " = 0;": " = 1;",
    " = 1;": " = 0;",
    "return 0;": "return -EIO;",
    "++": "--",
}
_CONDITION = re.compile(r"\b(if|while) \((.+)\)( \{)?$")
_ERRNO = re.compile(r"-E[A-Z]+\b")
_STATEMENT = re.compile(r"^\t+(?:[\w>.\[\]*-]+(?:->|\.)?[\w>.\[\]-]*\(.*\)|[\w>.\[\]-]+ .?= .+);$")


@dataclass(frozen=True)
class Mutant:
    """One altered line."""

    file: str
    line: int  # from 1
    old: str
    new: str

    def __str__(self) -> str:
        return f"{self.file}:{self.line}: {self.old.strip()}  =>  {self.new.strip() or '(nothing)'}"


def mutants_of(file: str, text: str) -> Iterator[Mutant]:
    """Every alteration of a source file that the rules make."""
    for number, line in enumerate(text.splitlines(), 1):
        if not line.startswith("\t") or _LEFT_OUT.search(line):
            continue
        for new in dict.fromkeys(_alterations(line)):
            if new != line:
                yield Mutant(file, number, line, new)


def _alterations(line: str) -> Iterator[str]:
    condition = _CONDITION.search(line)
    if condition:
        word, inside, brace = condition.group(1, 2, 3)
        yield f"{line[: condition.start()]}{word} (!({inside})){brace or ''}"
    for old, new in _SWAPS.items():
        for match in re.finditer(re.escape(old), line):
            yield line[: match.start()] + new + line[match.end() :]
    for match in _ERRNO.finditer(line):
        other = "-EIO" if match.group() != "-EIO" else "-EINVAL"
        yield line[: match.start()] + other + line[match.end() :]
    if _STATEMENT.match(line):
        yield "\t;"


class Workshop:
    """The root with compiler, kernel headers and sources, and the kernel to alter."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.root = directory / "root"
        self.sources = directory / "crypto"
        self.kernel = resolve(
            f"debian:{RELEASE}", KernelSources(default_cache_dir()), SilentProgress()
        )
        if not self.sources.is_dir():
            self._set_up()

    def _set_up(self) -> None:
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
        (unpacked / SOURCE / "crypto").rename(self.sources)

    def build(self, mutant: Mutant | None, name: str) -> BootableKernel | None:
        """The kernel with modules built from altered sources; None if they do not build."""
        work = self.root / "work" / name
        shutil.rmtree(work, ignore_errors=True)
        shutil.copytree(self.sources, work)
        objects = " ".join(file.replace(".c", ".o") for file in FILES)
        (work / "Makefile").write_text(f"obj-m := {objects}\n")
        if mutant is not None:
            lines = (work / mutant.file).read_text().splitlines()
            lines[mutant.line - 1] = mutant.new
            (work / mutant.file).write_text("\n".join(lines) + "\n")
        headers = f"/usr/src/linux-headers-{RELEASE}"
        argv: list[str | Path] = [
            "chroot",
            self.root,
            "make",
            "-C",
            headers,
            f"M=/work/{name}",
            "modules",
        ]
        if subprocess.run(argv, capture_output=True, check=False).returncode != 0:
            return None
        image = self.directory / f"{name}.ext4"
        assert self.kernel.modules_image is not None
        shutil.copyfile(self.kernel.modules_image, image)
        commands = []
        for module in sorted(work.glob("*.ko")):
            commands += [f"rm kernel/crypto/{module.name}"]
            commands += [f"write {module} kernel/crypto/{module.name}"]
        script = self.directory / f"{name}.debugfs"
        script.write_text("\n".join(commands) + "\n")
        run(["debugfs", "-w", "-f", script, image], doing="replacing the modules")
        script.unlink()
        shutil.rmtree(work)
        return replace(self.kernel, spec=name, modules_image=image)


class Trial:
    """Runs the suite on altered kernels and tells what it noticed."""

    def __init__(self, workshop: Workshop, arguments: tuple[str, ...]) -> None:
        self._workshop = workshop
        cache = default_cache_dir()
        self._root = Root("disk", guest_image(cache, None, SilentProgress()))
        self._payload = workshop.directory / "payload.tar"
        # A time limit far above what any test takes: a mutant that hangs costs little.
        # The first test that notices is enough.
        self._selection = Selection(SUITES, ("-x", *arguments), test_seconds=10)
        write_payload(self._selection, self._payload)
        self._expected = self._observe(None, "unaltered")
        if self._expected is None or self._expected.status is not Status.COMPLETED:
            raise SystemExit("the suite does not run to its end on the unaltered modules")

    def _observe(self, mutant: Mutant | None, name: str) -> KernelResult | None:
        kernel = self._workshop.build(mutant, name)
        if kernel is None:
            return None
        directory = self._workshop.directory / "results" / name
        shutil.rmtree(directory, ignore_errors=True)
        directory.mkdir(parents=True)
        result = observe(
            kernel,
            Role.CANDIDATE,
            GuestSettings(root=self._root, accel="tcg"),
            self._payload,
            Deadlines.for_accel("tcg", self._selection.test_seconds),
            directory,
            threading.Event(),
            SilentProgress(),
        )
        assert kernel.modules_image is not None
        kernel.modules_image.unlink()
        return result

    def judge(self, mutant: Mutant, name: str) -> str:
        """``does not build``, ``survived``, or ``caught: why``."""
        seen = self._observe(mutant, name)
        if seen is None:
            return "does not build"
        expected = self._expected
        assert expected is not None
        outcomes = {test.id: test.outcome for test in expected.tests}
        other = [test.id for test in seen.tests if test.outcome is not outcomes.get(test.id)]
        finished = [test for test in other if _outcome(seen, test) is not Outcome.MISSING]
        facts = seen.facts.named()
        was = expected.facts.named()
        other_facts = [
            name for name, fact in facts.items() if name in was and fact.state != was[name].state
        ]
        differing = [
            text
            for text, told in seen.transcripts.items()
            if expected.transcripts.get(text, told) != told
        ]
        if seen.status is not Status.COMPLETED:
            return f"caught: {seen.status}: {seen.status_reason[:80]} {finished[:1]}"
        if finished or other_facts or differing:
            return (
                f"caught: {len(finished)} tests {finished[:2]}, facts {other_facts[:2]}, "
                f"{len(differing)} transcripts"
            )
        return "survived"


def _outcome(result: KernelResult, test: str) -> Outcome:
    return next(seen.outcome for seen in result.tests if seen.id == test)


def main() -> int:
    """Draw a sample, try each, print one line for each and the score."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--work", type=Path, default=default_cache_dir() / "mutation")
    parser.add_argument("--sample", type=int, default=20, help="how many mutants (default: 20)")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--only", default="", help="of those whose line or file matches this")
    parser.add_argument("--list", action="store_true", help="print the sample and try none")
    parser.add_argument("-k", default="", help="only these tests (pytest -k)")
    chosen = parser.parse_args()
    workshop = Workshop(chosen.work)
    every = [
        mutant
        for file in FILES
        for mutant in mutants_of(file, (workshop.sources / file).read_text())
        if re.search(chosen.only, str(mutant))
    ]
    sample = random.Random(chosen.seed).sample(every, min(chosen.sample, len(every)))
    print(f"{len(every)} mutants, {len(sample)} drawn with seed {chosen.seed}", flush=True)
    if chosen.list:
        print(*sample, sep="\n")
        return 0
    trial = Trial(workshop, ("-k", chosen.k) if chosen.k else ())
    counts: dict[str, int] = {}

    def attempt(numbered: tuple[int, Mutant]) -> None:
        number, mutant = numbered
        told = trial.judge(mutant, f"mutant{number}")
        word = told.partition(":")[0]
        counts[word] = counts.get(word, 0) + 1
        print(f"{told}\n    {mutant}", flush=True)

    with ThreadPoolExecutor(chosen.jobs) as pool:
        list(pool.map(attempt, enumerate(sample)))
    print(", ".join(f"{count} {word}" for word, count in sorted(counts.items())))
    return 0


if __name__ == "__main__":
    sys.exit(main())
