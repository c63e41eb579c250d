"""The positive control of the whole product: is zero-copy found where it was put back?

    .venv/bin/python ci/zero_copy_control.py [--work DIR] [--series 7.3] [--out DIR]

Builds Debian's source twice (fragments base and afalg): as it is, and with the removal of
zero-copy undone, by the difference between two of Debian's 6.12 sources. Runs the suite
zero_copy on both. Every skcipher and aead input path must be absent on the first and
present on the second, and nothing else may differ. Exits with 0 if so, with 1 if not.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from kernel_tree import AF_ALG, git, make_tree, reverted_removal

_BRANCH = "with-zero-copy"


def main() -> int:
    """Build, run, check; returns the exit code."""
    parser = argparse.ArgumentParser(description="zero-copy put back is found")
    parser.add_argument("--work", type=Path, default=Path("/var/tmp/afalg-control"))
    parser.add_argument("--series", default="7.3")
    parser.add_argument("--out", type=Path, default=Path("runs/zero-copy-control"))
    arguments = parser.parse_args()
    tree = make_tree(arguments.series, arguments.work)
    git(tree, "checkout", "-qf", "released")
    if _BRANCH not in git(tree, "branch", "--format=%(refname:short)").split():
        altered = reverted_removal(tree, arguments.work)
        git(tree, "checkout", "-qb", _BRANCH)
        (tree / AF_ALG).write_bytes(altered)
        git(tree, "commit", "-qam", "Put zero-copy back")
        git(tree, "checkout", "-qf", "released")
    specs = [f"git:{tree}@{branch}" for branch in ("released", _BRANCH)]
    command = [Path(sys.executable).parent / "afalg-harness"]
    for spec in specs:
        started = time.monotonic()
        if subprocess.run([*command, "kernels", "build", spec], check=False).returncode != 0:
            return 1
        print(f"{spec}: {time.monotonic() - started:.0f} s to build (0: it was built before)")
    subprocess.run(
        [*command, "run", "--no-store", *specs, "--suite", "zero_copy", "--out", arguments.out],
        check=False,
    )
    return check(json.loads((arguments.out / "results.json").read_text()))


def check(result: dict[str, Any]) -> int:
    """Whether the two kernels were judged as they are; says what was not."""
    problems = []
    expected = {"baseline": "absent", "candidate": "present"}
    for kernel in result["kernels"]:
        if kernel["status"] != "completed":
            problems.append(f"{kernel['spec']}: {kernel['status']}")
        paths = {
            name: fact["state"]
            for name, fact in kernel["facts"]["zero_copy"].items()
            if name.startswith(("skcipher.", "aead.", "aead_aad.")) and not name.endswith(".recv")
        }
        wanted = expected[kernel["role"]]
        problems += [
            f"{kernel['release']}: {name} is {state}, not {wanted}"
            for name, state in paths.items()
            if state != wanted
        ]
        if len(paths) < 30:
            problems.append(f"{kernel['spec']}: only {len(paths)} paths were probed")
    for comparison in result["comparisons"]:
        problems += [
            f"{change['id']} differs, too: {change['baseline']} -> {change['candidate']}"
            for change in comparison["changes"]
            if not (change["baseline"] == "absent" and change["candidate"] == "present")
        ]
    for problem in problems:
        print(f"control: {problem}", file=sys.stderr)
    print("control: " + ("failed" if problems else "zero-copy is found where it was put back"))
    return 1 if problems or len(result["comparisons"]) != 1 else 0


if __name__ == "__main__":
    sys.exit(main())
