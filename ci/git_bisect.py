"""Bisects a git tree for the commit that put zero-copy back, past two that do not build.

    .venv/bin/python ci/git_bisect.py [--work DIR] [--series 7.3] [--out DIR]

Makes a tree from Debian's source with a dozen commits that touch crypto/: one alters
behaviour, two do not compile. Then finds the guilty one twice: by ``afalg-harness bisect``,
and by ``git bisect run afalg-harness bisect-step`` in the tree itself. Prints the time of
each step. Exits with 0 if both named the right commit and the user's checkout was left
alone by the first, with 1 if not.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

from kernel_tree import AF_ALG, git, make_tree, reverted_removal

CHECK = "zero_copy.skcipher.splice_file"
_BRANCH = "history"
_COMMITS, _GUILTY, _BROKEN = 12, 8, (6, 10)
_FILES = ("af_alg.c", "algif_aead.c", "algif_hash.c", "algif_rng.c", "algif_skcipher.c")


def make_history(tree: Path, work: Path) -> dict[int, str]:
    """The branch of a dozen commits on top of the released source: number -> commit id."""
    altered = reverted_removal(tree, work)
    git(tree, "checkout", "-qfB", _BRANCH, "released")
    commits = {}
    for number in range(1, _COMMITS + 1):
        path = tree / "crypto" / _FILES[number % len(_FILES)]
        if number == _GUILTY:
            (tree / AF_ALG).write_bytes(altered)
            subject = "crypto: af_alg - take pages as they come"
        elif number in _BROKEN:
            path.write_text(f"{path.read_text()}int broken_{number}(void) {{ return }}\n")
            subject = f"crypto: {path.stem} - a change that does not compile"
        else:
            # What the broken commit before it left is taken out again.
            for name in _FILES:
                other = tree / "crypto" / name
                mended = re.sub(r"int broken_\d+.*\n", "", other.read_text())
                other.write_text(mended)
            path.write_text(f"{path.read_text()}/* change {number} */\n")
            subject = f"crypto: {path.stem} - change {number}"
        git(tree, "commit", "-qam", subject)
        commits[number] = git(tree, "rev-parse", "HEAD")
    return commits


def main() -> int:
    """Make the tree, bisect it both ways; returns the exit code."""
    parser = argparse.ArgumentParser(description="bisect over git")
    parser.add_argument("--work", type=Path, default=Path("/var/tmp/afalg-control"))
    parser.add_argument("--series", default="7.3")
    parser.add_argument("--out", type=Path, default=Path("runs/git-bisect"))
    arguments = parser.parse_args()
    out = arguments.out.absolute()
    tree = make_tree(arguments.series, arguments.work.absolute())
    commits = make_history(tree, arguments.work)
    git(tree, "checkout", "-qf", "released")
    harness = Path(sys.executable).parent / "afalg-harness"
    before = _state(tree)
    argv: list[str | Path] = [harness, "bisect", "--good", "released", "--bad", _BRANCH]
    argv += ["--among", f"git:{tree}", "--check", CHECK, "--out", out, "--fresh"]
    found = subprocess.run(argv, check=False)
    steps = json.loads((out / "bisect.json").read_text())["steps"]
    for step in steps:
        print(f"{step['seconds']:6.1f} s  {step['value'] or 'skipped'}  {step['spec'][-40:]}")
    problems = []
    report = (out / "bisect.md").read_text()
    if found.returncode != 0 or f"first bad commit: {commits[_GUILTY]}" not in report:
        problems.append("bisect did not name the guilty commit")
    skipped = {step["spec"][-40:] for step in steps if not step["value"]}
    if not skipped or not skipped <= {commits[number] for number in _BROKEN}:
        problems.append(f"skipped were {skipped or 'none'}, and not those that do not build")
    if _state(tree) != before:
        problems.append("the tree was touched")
    problems += _by_git(tree, harness, commits, out)
    for problem in problems:
        print(f"git bisect: {problem}", file=sys.stderr)
    print("git bisect: " + ("failed" if problems else "the guilty commit was found both ways"))
    return 1 if problems else 0


def _by_git(tree: Path, harness: Path, commits: dict[int, str], out: Path) -> list[str]:
    """The same as git documents it, in the tree itself."""
    place = out / "git-bisect-run"
    shutil.rmtree(place, ignore_errors=True)
    git(tree, "bisect", "start", commits[_COMMITS], "released")
    try:
        done = subprocess.run(
            ["git", "bisect", "run", harness, "bisect-step", "--check", CHECK, "--out", place],
            cwd=tree,
            capture_output=True,
            text=True,
            check=False,
            env={**os.environ, "LC_ALL": "C.UTF-8"},
        )
    finally:
        git(tree, "bisect", "reset")
    print(done.stdout[-1500:])
    if done.returncode or f"{commits[_GUILTY]} is the first bad commit" not in done.stdout:
        return [f"git bisect run did not name the guilty commit: {done.stderr[-500:]}"]
    return []


def _state(tree: Path) -> str:
    """HEAD, refs, and the files that git sees as changed."""
    return "\n".join(
        git(tree, *words)
        for words in (("rev-parse", "HEAD"), ("for-each-ref",), ("status", "--porcelain"))
    )


if __name__ == "__main__":
    sys.exit(main())
