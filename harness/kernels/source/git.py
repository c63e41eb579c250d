"""Reads a user's git tree, and lays out its revisions in a checkout of the harness's own.

Nothing is written to the user's tree: the checkout has a git directory of its own, which
borrows the objects of the user's (gitrepository-layout(5), objects/info/alternates).
"""

from __future__ import annotations

import os
import re
import shutil
from dataclasses import dataclass
from pathlib import Path

from harness.errors import InfrastructureError, InputError
from harness.processes import finish, run


@dataclass(frozen=True)
class Commit:
    """One commit of a tree: ids of it and of its content, and the first line of its message."""

    id: str
    tree: str
    subject: str


class GitTree:
    """A git tree of the user's, never written to."""

    def __init__(self, path: Path) -> None:
        """``path`` is the tree or a directory in it. Raises InputError if it is none."""
        self.path = path
        try:
            common = self._git("rev-parse", "--git-common-dir")
        except InfrastructureError as error:
            raise InputError(f"git:{path}: {_reason(error)}") from error
        self._common = (path / common).resolve()

    def commit(self, revision: str) -> Commit:
        """The commit that ``revision`` names. Raises InputError if there is none."""
        verify = ("rev-parse", "--verify", "--quiet", "--end-of-options")
        try:
            # In two steps: what follows :/TEXT would be taken for more of the text.
            named = self._git(*verify, revision)
            found = self._git(*verify, f"{named}^{{commit}}")
        except InfrastructureError:
            found = ""
        if not found or found.startswith("^"):  # which is all but that commit
            raise InputError(f"git:{self.path}@{revision}: the tree has no such commit")
        tree, _, subject = self._git(
            "log", "-1", "--no-show-signature", "--format=%T %s", found
        ).partition(" ")
        return Commit(found, tree, subject)

    def is_ancestor(self, older: Commit, newer: Commit) -> bool:
        """Whether the history of ``newer`` holds ``older``. Raises InfrastructureError."""
        argv = ["git", "-C", str(self.path), "merge-base", "--is-ancestor", older.id, newer.id]
        done = finish(argv, environment=git_environment())
        if done.returncode not in (0, 1):
            raise InfrastructureError(f"git merge-base: {done.stderr.strip() or done.returncode}")
        return done.returncode == 0

    def is_kernel(self, commit: Commit) -> bool:
        """Whether the commit holds the source of a kernel for x86."""
        wanted = ("Kbuild", "arch/x86/Kconfig")
        names = self._git("ls-tree", "--full-tree", "--name-only", commit.id, *wanted)
        return len(names.split()) == 2

    def has_changes(self) -> bool:
        """Whether files that git knows differ from HEAD, and so are in no revision."""
        try:
            return bool(self._git("status", "--porcelain", "--untracked-files=no"))
        except InfrastructureError:  # a bare tree has no files
            return False

    def check_out(self, commit: Commit, target: Path) -> None:
        """Make the files below ``target`` those of ``commit``, touching only what differs.

        Raises InfrastructureError.
        """
        directory = target / ".git"
        if not (directory / "HEAD").is_file():
            shutil.rmtree(target, ignore_errors=True)
            target.mkdir(parents=True)
            run(
                ["git", "init", "-q", target],
                doing="making a checkout",
                environment=git_environment(),
            )
        self.lend_objects(directory)
        (directory / "index.lock").unlink(missing_ok=True)  # of one that was killed
        run(
            ["git", "-c", "core.hooksPath=/dev/null", "checkout", "-qf", "--detach", commit.id],
            doing=f"checking out {commit.id[:12]}",
            environment=git_environment(),
            directory=target,
        )
        run(
            ["git", "clean", "-q", "-ffdx"],
            doing="cleaning the checkout",
            environment=git_environment(),
            directory=target,
        )

    def lend_objects(self, directory: Path) -> None:
        """Let the git directory ``directory`` read the objects of this tree."""
        # Written each time: a tree may have been moved, made shallow or whole since.
        (directory / "objects/info").mkdir(parents=True, exist_ok=True)
        (directory / "objects/info/alternates").write_text(f"{self._common / 'objects'}\n")
        shallow = self._common / "shallow"
        if shallow.is_file():
            shutil.copyfile(shallow, directory / "shallow")
        else:
            (directory / "shallow").unlink(missing_ok=True)

    def _git(self, *arguments: str) -> str:
        # No lock is taken, and so no index refreshed, in a tree that is not ours.
        return run(
            ["git", "--no-optional-locks", "-C", self.path, *arguments],
            doing=f"reading {self.path}",
            environment=git_environment(),
        ).strip()


def git_environment() -> dict[str, str]:
    """The environment without what git sets for its own children (GIT_DIR and the like)."""
    return {
        **{name: value for name, value in os.environ.items() if not name.startswith("GIT_")},
        "LC_ALL": "C.UTF-8",
        "GIT_TERMINAL_PROMPT": "0",
        "GIT_NO_REPLACE_OBJECTS": "1",  # refs/replace is the user's tree's alone
    }


def _reason(error: InfrastructureError) -> str:
    match = re.search(r"fatal: (.*)", str(error))
    return match[1] if match else str(error)
