"""Configures and compiles a kernel source tree in an output directory of the harness's own.

The fragments are applied to ``allnoconfig``, so that a build holds what they name and what
that selects. ``vng --kconfig`` would start from ``defconfig`` and add its own list on top
(virtme-ng 1.42): twice as many objects, for devices that no guest of ours has. The build
itself is ``vng --build``, which leaves a config alone that is there already.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import time
from collections.abc import Callable, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from harness.distributions import install_command
from harness.errors import BuildError, HostError, InfrastructureError
from harness.kernels.source.fragments import Fragment, check_granted
from harness.processes import find_program, find_vng, finish, helper, run, search_path

if TYPE_CHECKING:
    from collections.abc import Iterator

#: Programs that a build calls beside the compiler (Documentation/process/changes.rst).
_PROGRAMS = ("make", "ld", "flex", "bison", "bc", "perl")
#: Headers for objtool, which every x86 build needs, and the Debian package of each.
_HEADERS = {"gelf.h": "libelf-dev"}
_MARK = "afalg-building"
#: Seconds: what a killed build wrote this long before its end is made again.
_DOUBTFUL = 120.0

_STEP = re.compile(r"^ {2}(?:CC|AS|LD|AR|HOSTCC|CC \[M\]|OBJCOPY|GZIP|XZ|ZSTD\S*)\s+(\S+)")
_COMPILER_ERROR = re.compile(r"^[^\s:]+:\d+(?::\d+)?: (?:fatal )?error: |^error: ")
_OTHER_ERROR = re.compile(
    r"undefined reference|multiple definition|No rule to make target|: not found$|^ERROR: modpost"
    r"|^ld: |error\[E\d+\]|^BTF: .*failed|\*\*\* "
)
#: Failures of this host, which say nothing of the source.
_HOST_FAILURE = re.compile(
    r"No space left on device|Disk quota exceeded|Killed signal terminated program"
    r"|internal compiler error: Killed|terminated with signal 9|: line \d+: +\d+ Killed "
    r"|Cannot allocate memory|virtual memory exhausted|^make.*\*\*\* .* (?:Killed|Error 137)$"
)


@dataclass(frozen=True)
class Compiler:
    """The C compiler of a build: ``command`` for make's CC, and what it says it is."""

    command: str
    version: str


def find_compiler() -> Compiler:
    """gcc (or what $CC names), behind ccache where that is installed.

    Raises HostError if a program or header that a build needs is missing.
    """
    for program in _PROGRAMS:
        find_program(program)
    name = os.environ.get("CC") or "gcc"
    compiler = find_program(name)
    version = run([compiler, "--version"], doing=f"asking {name} for its version").splitlines()[0]
    for header, package in _HEADERS.items():
        tried = finish([compiler, "-E", "-x", "c", "-"], stdin=f"#include <{header}>\n".encode())
        if tried.returncode != 0:
            raise HostError(f"{header} is not installed; {install_command(package)}")
    cached = shutil.which("ccache", path=search_path()) is not None
    return Compiler(f"ccache {name}" if cached else name, version)


def configure(
    source: Path, output: Path, fragments: Sequence[Fragment], compiler: Compiler
) -> tuple[str, ...]:
    """Write ``output/.config``: the fragments, later ones winning, over allnoconfig.

    Returns notes. Raises BuildError naming an option that was lost and what it depends on.
    """
    output.mkdir(parents=True, exist_ok=True)
    wanted = output / "fragments.config"
    wanted.write_text("\n".join(fragment.text for fragment in fragments) + "\n")
    environment = {**_environment(output), "KCONFIG_ALLCONFIG": str(wanted)}
    # Only what is not set by then is asked for: everything is.
    argv: list[str | Path] = ["make", "-s", f"O={output}", f"CC={compiler.command}", "allnoconfig"]
    try:
        run(argv, doing="configuring", environment=environment, directory=source)
    except InfrastructureError as error:
        raise BuildError(str(error)) from error
    return check_granted(fragments, output / ".config", source)


def compile_kernel(
    source: Path,
    output: Path,
    compiler: Compiler,
    localversion: str,
    log: Path,
    report: Callable[[str, int], None],
) -> None:
    """Build what ``output/.config`` asks for; all that make prints goes to ``log``.

    ``report`` gets each file that is made, and the number of them so far. Raises BuildError
    with the first error of the compiler, InfrastructureError if this host is at fault (no
    space, no memory), Interrupted.
    """
    argv: list[str | Path] = [find_vng(), "--build", "--verbose"]
    argv += ["--jobs", str(os.cpu_count() or 1)]
    argv += [f"O={output}", f"CC={compiler.command}", f"LOCALVERSION={localversion}"]
    # The same source makes the same image, whenever and wherever it is built.
    argv += ["KBUILD_BUILD_TIMESTAMP=@0", "KBUILD_BUILD_USER=afalg", "KBUILD_BUILD_HOST=harness"]
    with _marked(output):
        status = _build(argv, source, output, log, report)
        if status != 0:
            problem = first_error(log.read_text(errors="replace").splitlines())
            if status < 0:
                raise InfrastructureError(f"the build was killed by signal {-status}")
            if _HOST_FAILURE.search(problem):
                raise InfrastructureError(f"the build failed for lack of resources: {problem}")
            raise BuildError(f"does not build: {problem} (log: {log})")
    if not (output / "arch/x86/boot/bzImage").is_file():
        raise BuildError(f"the build ended without arch/x86/boot/bzImage (log: {log})")


def _build(
    argv: Sequence[str | Path],
    source: Path,
    output: Path,
    log: Path,
    report: Callable[[str, int], None],
) -> int:
    """Run the build, none of whose processes outlives us; returns its exit status."""
    with (
        log.open("w", encoding="utf-8") as file,
        helper(
            argv,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            environment=_environment(output),
            directory=source,
            watched=True,
        ) as process,
    ):
        assert process.stdout is not None
        steps = 0
        for said in process.stdout:
            line = said.decode(errors="replace")
            file.write(line)
            if step := _STEP.match(line):
                steps += 1
                report(step[1], steps)
        return process.wait()


def first_error(lines: Sequence[str]) -> str:
    """The line of a build's log that says what went wrong first."""
    for pattern in (_HOST_FAILURE, _COMPILER_ERROR, _OTHER_ERROR):
        for line in lines:
            if pattern.search(line):
                return line.strip()
    said = [line.strip() for line in lines if line.strip()]
    return said[-1] if said else "no output"


def _environment(output: Path) -> dict[str, str]:
    """For make and vng: no settings of the user's but those of ccache."""
    home = Path.home()
    return {
        "PATH": f"{Path(find_vng()).parent}:{search_path()}",
        "HOME": str(output),
        "LANG": "C.UTF-8",
        "TERM": "dumb",
        "CCACHE_DIR": str(home / ".cache/ccache"),
        "CCACHE_BASEDIR": str(output.parent.parent),
        **{name: value for name, value in os.environ.items() if name.startswith("CCACHE_")},
    }


@contextmanager
def _marked(output: Path) -> Iterator[None]:
    """Mark ``output`` as being written to; the mark stays if the build is cut short."""
    mark = output / _MARK
    mark.touch()
    try:
        yield
    except BuildError:  # make has deleted what it could not finish
        mark.unlink()
        raise
    mark.unlink()


def mend(output: Path) -> None:
    """After a build that was cut short: delete what it may have left half written."""
    if not (output / _MARK).exists():
        return
    files = [path for path in output.rglob("*") if path.is_file() and not path.is_symlink()]
    times = {path: path.stat().st_mtime for path in files}
    limit = min(max(times.values()), time.time()) - _DOUBTFUL
    for path, changed in times.items():
        if changed >= limit:
            path.unlink()
