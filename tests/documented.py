"""The commands and files that README.md and docs/ show, as they stand there.

Commands are the lines of ```sh blocks. A ```text block that follows is what the command
before it prints on a terminal. Files are blocks that begin with a comment that is a path.
"""

from __future__ import annotations

import re
import shlex
from dataclasses import dataclass
from functools import cache
from pathlib import Path

TOP = Path(__file__).resolve().parents[1]
PROGRAM = "afalg-harness"
#: Commands that a test runs as they stand, in a place where what they name is there; with the
#: exit codes that they may end with there.
HERE: dict[str, tuple[int, ...]] = {
    "afalg-harness doctor": (0, 3),  # by the machine
    "afalg-harness run --list --suite security": (0,),
    'eval "$(register-python-argcomplete afalg-harness)"': (0,),
    "afalg-harness compare runs/matrix:6.12.95 :6.12.96+deb13-amd64": (0,),
    "afalg-harness report runs/matrix": (1,),
    "afalg-harness compare runs/costs": (0,),
    "afalg-harness kernels map --format html --output map.html": (0,),
    "afalg-harness kernels cache list": (0,),
    "afalg-harness compare runs/matrix:7.2.12 :7.3.4+deb13-amd64": (0,),
    "afalg-harness report runs/test": (0,),
    "afalg-harness gate runs/test": (0,),
    "afalg-harness compare runs/matrix:7.2.12 :7.3.4+deb13-amd64 --format junit"
    " --output junit.xml": (0,),
    "afalg-harness runs import runs/test": (0,),
    "afalg-harness runs list": (0,),
    "afalg-harness runs show fca8b4": (0,),
    "afalg-harness runs times >times.json": (0,),
    "afalg-harness history zero_copy.skcipher.splice_file": (0,),
    "afalg-harness history 6.12.96+deb13-amd64": (0,),
    "afalg-harness report runs/test --format github --output -": (0,),
    'afalg-harness report runs/test --format ktap --output "$RESULTS_DIR/report.ktap"'
    " --exit nipa": (0,),
    "afalg-harness gate runs/test --expectations known.toml": (0,),
    "afalg-harness report runs/test --format checklist --output -": (0,),
    "afalg-harness run --list --suite my_suite": (0,),
}
#: File -> commands that it runs, with further arguments that make them short: a test asks
#: ``arguments()`` for the words, a script has the command, or its options, in it.
ELSEWHERE = {
    "ci/fresh-root.sh": (
        "ci/main-job.sh",
        "ci/test.sh",
        "afalg-harness run debian:6.12.96+deb13-amd64 --suite zero_copy/test_input.py -k"
        " splice_file",
    ),
    "tests/vm/conftest.py": (
        "afalg-harness run debian:6.12.95+deb13-amd64 debian:6.12.96+deb13-amd64",
    ),
    "tests/vm/test_benchmark.py": (
        "afalg-harness benchmark debian:6.12.95+deb13-amd64 debian:6.12.96+deb13-amd64",
        "afalg-harness benchmark --unit nanoseconds debian:6.12.95+deb13-amd64"
        " debian:6.12.96+deb13-amd64",
    ),
    "tests/vm/test_bisect.py": (
        "afalg-harness bisect --old debian:6.12.94+deb13-amd64 --new debian:6.12.100+deb13-amd64"
        " --among 'debian:6.12.*+deb13*' --find zero_copy.skcipher.splice_file=absent",
        "git bisect run afalg-harness bisect-step --check zero_copy.skcipher.splice_file=present",
    ),
    "tests/vm/test_fetch.py": (
        "afalg-harness kernels list '6.12*' --suite trixie-security",
        "afalg-harness kernels show debian:6.12.96+deb13-amd64",
        "afalg-harness kernels fetch debian:6.12.95+deb13-amd64 debian:6.12.96+deb13-amd64",
    ),
    "tests/vm/test_host_faults.py": (
        "afalg-harness shell debian:6.12.96+deb13-amd64 --exec 'pytest functional/test_hash.py'",
    ),
    "tests/vm/test_shell.py": (
        "afalg-harness shell debian:6.12.96+deb13-amd64",
        "afalg-harness shell debian:6.12.96+deb13-amd64 --gdb",
    ),
    "tests/vm/test_boots.py": ("afalg-harness run --resume runs/test",),
    "tests/vm/test_validate.py": (
        "afalg-harness validate debian:6.12.96+deb13-amd64",
        "afalg-harness run debian:6.12.96+deb13-amd64 --suite my_suite",
    ),
    "tests/unit/test_shard.py": (
        "afalg-harness run --shard 1/3 --out part-1 debian:6.12.95+deb13-amd64 ./vmlinuz-a"
        " ./vmlinuz-b",
        "afalg-harness run --shard 1/3 --shard-times times.json --out part-1"
        " debian:6.12.95+deb13-amd64 ./vmlinuz-a ./vmlinuz-b",
        "afalg-harness report merge part-1 part-2 part-3 --out whole",
    ),
    "tests/unit/executors/test_names.py": (
        "afalg-harness run --executor dask://10.0.0.1:8786 debian:6.12.95+deb13-amd64"
        " debian:trixie",
    ),
    "tests/unit/history/test_validation.py": (
        "afalg-harness validate debian:trixie-security --new-since last -q >>validated.md",
    ),
}
#: File -> commands of which it runs the like: of what builds kernels (a quarter of an hour each)
#: a program that is run by hand. Tests see that those of ours parse.
LIKE = {
    "tests/unit/ci/test_tree_recipes.py": (
        "make -f ~/afalg-harness/ci/make/afalg.mk afalg-check O=../build"
        " AFALG_BASELINE=debian:trixie-security",
        "~/afalg-harness/ci/b4/check-series.sh 20261101120000.1234-1-somebody@example.org",
        "~/afalg-harness/ci/b4/check-series.sh --mbox series.mbx"
        " 20261101120000.1234-1-somebody@example.org --suite zero_copy",
    ),
    "tests/unit/ci/test_tmt_plan.py": (
        "tmt run --all provision --how virtual --image fedora",
        "tmt run --all --environment"
        " AFALG_KERNELS=/tmp/kernel-core.rpm,/tmp/kernel-modules-core.rpm",
    ),
    "ci/git_bisect.py": (
        "afalg-harness bisect --old v7.1 --new v7.2 --among git:linux --find"
        " zero_copy.skcipher.splice_file=absent",
    ),
    "ci/zero_copy_control.py": (
        "afalg-harness run git:~/linux@v7.2 git:~/linux@my-branch",
        'afalg-harness run "git:.@$(b4 prep --show-info base-commit)" git:.@HEAD',
        "afalg-harness kernels build git:~/linux@HEAD --kconfig base --kconfig afalg"
        " --kconfig debug",
        "afalg-harness run --baseline debian:6.12.96+deb13-amd64 ~/linux --out runs/test",
        "afalg-harness run git:~/linux@v7.2 git:~/linux@my-branch --out runs/branch",
    ),
}
#: What a test has not -> commands that take it. They are run by hand where it is.
NEEDS: dict[str, tuple[str, ...]] = {
    "nothing else to do for some minutes: it measures": (
        ".venv/bin/python ci/benchmark.py --json before.json",
        ".venv/bin/python ci/benchmark.py --against before.json --json after.json",
        ".venv/bin/python ci/benchmark.py --read after.json --against before.json",
    ),
    "KVM, with a PMU for guests": (
        "afalg-harness benchmark --unit cycles debian:6.12.95+deb13-amd64"
        " debian:6.12.96+deb13-amd64",
    ),
    "podman, and the registry that it has debian:13 from": (
        "podman build --tag afalg --file ci/Containerfile .",
        "podman run --rm --cap-add SYS_ADMIN --security-opt seccomp=unconfined --security-opt"
        " apparmor=unconfined --device /dev/kvm --volume afalg-cache:/cache --volume .:/work afalg"
        " run debian:trixie-backports",
    ),
    "an account at Buildkite; the file is checked by the vendor's schema": (
        "buildkite-agent pipeline upload ci/buildkite/pipeline.yml",
    ),
}
_BLOCK = re.compile(r"^```(\w+)\n(.*?)^```\n(\n```text\n(.*?)^```\n)?", re.MULTILINE | re.DOTALL)
_PATH = re.compile(r"# ([\w./-]+\.\w+)\n")


@dataclass(frozen=True)
class Command:
    """One command, its continued lines joined."""

    page: str
    text: str
    output: str  # "" if none is shown


def pages() -> list[Path]:
    """README.md and the pages of docs/."""
    return [TOP / "README.md", *sorted((TOP / "docs").glob("*.md"))]


@cache
def commands() -> tuple[Command, ...]:
    """Every command, in the order of the pages."""
    found = []
    for page in pages():
        for language, body, _, output in _BLOCK.findall(page.read_text()):
            if language == "sh":
                lines = body.replace("\\\n", " ").splitlines()
                texts = [re.sub(r"\s+", " ", line).strip() for line in lines if line.strip()]
                shown = [*[""] * (len(texts) - 1), output]
                found += [
                    Command(page.name, text, told)
                    for text, told in zip(texts, shown, strict=True)
                    if not text.startswith("#")
                ]
    return tuple(found)


@cache
def files() -> dict[str, str]:
    """Path -> the text of a file that a page shows."""
    found = {}
    for page in pages():
        for _, body, *_ in _BLOCK.findall(page.read_text()):
            named = _PATH.match(body)
            if named:
                found[named[1]] = body
    return found


def write_files(place: Path) -> None:
    """Write those files below ``place``."""
    for name, text in files().items():
        path = place / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)


def arguments(text: str) -> list[str]:
    """The arguments of the one ``afalg-harness`` command that is, or else contains, ``text``.

    What stands before the program (``git bisect run``) is left out, and so is where a shell
    sends the output. Raises ValueError unless there is exactly one such command.
    """
    shown = {command.text for command in commands()}
    found = {text} & shown or {one for one in shown if text in one}
    if len(found) != 1:
        raise ValueError(f"{text!r} is in {len(found)} documented commands: {sorted(found)}")
    return arguments_of(found.pop())


def arguments_of(command: str) -> list[str]:
    """The arguments that a shell gives to the harness in ``command``; [] if it is not run."""
    words = shlex.split(command)
    after = words[words.index(PROGRAM) + 1 :] if PROGRAM in words else []
    return [word for word in after if not word.startswith(">")]
