"""The directory in which vng runs, and the same again as a shell script.

vng builds shell commands of the paths it is given. So it is given names in its working
directory, which are links to wherever things lie.
"""

from __future__ import annotations

import shlex
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from harness.guest import launcher, vng
from harness.model import BootableKernel
from harness.processes import find_program

#: Where records go if a guest is started again by hand, with nobody to listen.
RECORDS_FILE = "records"
#: Answers vng's question by itself: starting Python for it takes 20 ms more.
_LAUNCHER = """\
#!/bin/sh
[ "$1" = --version ] && exec {program} --version
exec {launcher} "$@"
"""
_SCRIPT = """\
#!/bin/sh
# Boots this guest again, as it was booted here: run this with sh, or paste it into a shell.
# It works in a temporary directory, which stays and then has what the guest reported.
(
cd "$(mktemp -d)" && echo "records: $PWD/{records}" || exit
{steps}
HOME="$PWD" TMPDIR="$PWD" {environment} {command}
)
"""


@dataclass(frozen=True)
class Place:
    """What the directory holds: names in it, and what they stand for."""

    directories: tuple[str, ...]
    links: tuple[tuple[str, Path], ...]
    copies: tuple[tuple[str, Path], ...]
    program: str  # text of the program that vng takes for QEMU

    def make(self, directory: Path) -> None:
        """Make all of it in an empty ``directory``."""
        for name in self.directories:
            (directory / name).mkdir(mode=0o700)
        for name, target in self.links:
            (directory / name).symlink_to(target)
        for name, source in self.copies:
            shutil.copyfile(source, directory / name)
        program = directory / vng.QEMU_NAME
        program.write_text(self.program)
        program.chmod(0o700)

    def again(self, argv: Sequence[str], environment: Mapping[str, str]) -> str:
        """A shell script that makes the same directory and runs ``argv`` in it."""
        steps = [
            ["mkdir", *self.directories],
            *(["ln", "-s", str(target), name] for name, target in self.links),
            *(["cp", str(source), name] for name, source in self.copies),
        ]
        written = f"printf %s {shlex.quote(self.program)} > {vng.QEMU_NAME}"
        kept = {key: environment[key] for key in ("PATH", "LANG", "TERM")}
        return _SCRIPT.format(
            records=RECORDS_FILE,
            steps="\n".join([*map(shlex.join, steps), written, f"chmod +x {vng.QEMU_NAME}"]),
            environment=" ".join(f"{key}={shlex.quote(value)}" for key, value in kept.items()),
            command=shlex.join(argv),
        )


def place(kernel: BootableKernel, root: vng.Root, payload: Path) -> Place:
    """What vng needs at hand to boot ``kernel`` on ``root`` with ``payload``."""
    payload = payload.resolve()
    on_disk = root.kind == "disk"
    boot = kernel.image.parent.parent / "lib"
    whole = kernel.modules_tree
    # A root over 9p needs 9p and overlayfs from the whole tree.
    initial = boot if on_disk or whole is None else whole.parents[1]
    links = [(vng.kernel_name(kernel), kernel.image)]
    if initial.is_dir():
        links.append((f"{vng.KERNEL_DIRECTORY}/lib", initial))
    directories = [vng.KERNEL_DIRECTORY, launcher.WORKPLACE]
    copies = []
    modules = kernel.modules_image if on_disk else kernel.modules_tree
    if modules is not None:
        links.append((vng.MODULES_NAME, modules))
    if on_disk:
        links += [(vng.ROOT_NAME, root.path), (vng.PAYLOAD_NAME, payload)]
    else:
        directories.append(vng.SHARE_DIRECTORY)
        copies.append((f"{vng.SHARE_DIRECTORY}/{vng.PAYLOAD_NAME}", payload))
    kind = launcher.ISOLATED if root.isolated else launcher.SHARED
    program = find_program(vng.QEMU)
    text = _LAUNCHER.format(
        program=shlex.quote(program), launcher=shlex.join(launcher.argv(kind, program, ()))
    )
    return Place(tuple(directories), tuple(links), tuple(copies), text)
