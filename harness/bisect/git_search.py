"""Drives ``git bisect`` over a user's tree, in a repository of the harness's own.

``git bisect start --no-checkout`` needs no files: it only names the next commit, in
BISECT_HEAD. Its decisions are replayed from the stored steps each time, so that a bisect
that was interrupted goes on by itself.
"""

from __future__ import annotations

import re
import shutil
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from harness.bisect.ends import Ends, Question
from harness.bisect.search import Announce, all_at_once, described, estimate
from harness.bisect.state import BisectState, Step
from harness.bisect.strategy import Answer
from harness.bisect.tester import Tester
from harness.errors import InfrastructureError, InputError
from harness.kernels.source.git import Commit, GitTree, git_environment
from harness.processes import run


@dataclass(frozen=True)
class GitSearchResult:
    """What a bisect over git found: one commit, or several of which any may be the one."""

    question: Question  # with the older end first, however it was asked
    ends: Ends
    old: Step
    new: Step
    first_new: tuple[str, ...]  # commit ids; empty if the ends do not differ
    described: str = ""  # what git prints of the commit that was found
    log: str = ""  # git bisect log


class _Repository:
    """A repository without files that borrows the objects of the user's tree."""

    def __init__(self, tree: GitTree, place: Path) -> None:
        shutil.rmtree(place, ignore_errors=True)
        place.mkdir(parents=True)
        self._place = place
        run(
            ["git", "init", "-q", place], doing="making a repository", environment=git_environment()
        )
        tree.lend_objects(place / ".git")

    def git(self, *arguments: str) -> str:
        """Output of a git command. Raises InfrastructureError."""
        return run(
            ["git", "-c", "core.hooksPath=/dev/null", *arguments],
            doing="bisecting",
            environment=git_environment(),
            directory=self._place,
        )

    def head(self) -> str:
        """The commit to test next."""
        return self.git("rev-parse", "BISECT_HEAD").strip()

    def ahead(self, count: int) -> list[str]:
        """The commit to test next and those one of which comes after it: ``count`` at most.

        By halving alone: where commits were skipped, git goes elsewhere.
        """
        old = self.git("for-each-ref", "--format=%(objectname)", "refs/bisect/old-*").split()
        new = self.git("rev-parse", "refs/bisect/new").strip()
        found: dict[str, None] = {}
        ranges = deque([(new, old, self.head())])
        while ranges and len(found) < count:
            new, old, middle = ranges.popleft()
            found[middle] = None
            for upper, lower in ((middle, old), (new, [*old, middle])):
                following = self._middle(upper, lower)
                if following not in ("", upper):
                    ranges.append((upper, lower, following))
        return list(found)

    def _middle(self, new: str, old: Sequence[str]) -> str:
        """The commit that halves what is in ``new`` and not in ``old``; "" if nothing is."""
        # --bisect alone would add this bisect's own ends to these.
        said = self.git("rev-list", "--bisect-vars", new, "--not", *old)
        found = re.search(r"^bisect_rev='?([0-9a-f]*)'?$", said, re.MULTILINE)
        return found[1] if found is not None else ""


def search_git(
    path: Path,
    revisions: tuple[str, str],
    question: Question,
    tester: Tester,
    state: BisectState,
    announce: Announce,
) -> GitSearchResult:
    """Find the first commit of the tree at ``path`` between two revisions, in either order.

    Raises InputError (no such revision, none is an ancestor of the other), and as
    Question.ends and Tester.test do.
    """
    tree = GitTree(path)
    old_commit, new_commit = older_first(tree, revisions)
    repository = _Repository(tree, state.directory / "git")
    if old_commit.id != tree.commit(revisions[0]).id:
        question = question.reversed()

    def step(commit: Commit) -> Step:
        spec = f"git:{path}@{commit.id}"
        known = state.steps.get(spec)
        if known is None:
            seen_by = next((done.test for done in [*state.steps.values()] if done.test), "")
            known = tester.test(spec, state, seen_by)
            state.record(known)
        announce(f"{commit.id[:12]} {commit.subject}: {described(known)}")
        return known

    def steps(commits: Sequence[Commit]) -> list[Step]:
        return all_at_once(step, commits, tester.at_once, tester.stop)

    old, new = steps([old_commit, new_commit])
    ends = question.ends(old, new)
    if not ends.differ():
        return GitSearchResult(question, ends, old, new, ())
    repository.git("update-ref", "--no-deref", "HEAD", new_commit.id)  # where it would go back to
    repository.git("bisect", "start", "--no-checkout", "--term-old=old", "--term-new=new")
    repository.git("bisect", "new", new_commit.id)
    said = repository.git("bisect", "old", old_commit.id)
    while not (found := _found(said)):
        if left := re.search(r"(\d+) revisions? left.*?roughly (\d+) step", said, re.DOTALL):
            announce(estimate(int(left[1]), int(left[2]), state))
        head = tree.commit(repository.head())
        if tester.at_once > 1 and f"git:{path}@{head.id}" not in state.steps:
            steps([tree.commit(one) for one in repository.ahead(tester.at_once)])
        answer = ends.answer(step(head).value)
        said = _tell(repository, answer)
    log = repository.git("bisect", "log")
    told = repository.git("show", "--no-patch", "--stat", found[0]) if len(found) == 1 else ""
    files = repository.git("show", "--format=", "--stat", found[0]) if len(found) == 1 else ""
    return GitSearchResult(
        question, ends, old, new, found, f"{told.rstrip()}\n\n{files.rstrip()}".strip(), log
    )


def older_first(tree: GitTree, revisions: tuple[str, str]) -> tuple[Commit, Commit]:
    """The commits that two ``revisions`` name, in the order of history.

    Raises InputError if they are none, or history gives them no order.
    """
    first, second = tree.commit(revisions[0]), tree.commit(revisions[1])
    if first.id == second.id:
        raise InputError(f"git:{tree.path}: {revisions[0]} and {revisions[1]} are the same commit")
    if tree.is_ancestor(first, second):
        return first, second
    if tree.is_ancestor(second, first):
        return second, first
    raise InputError(
        f"git:{tree.path}: neither of {revisions[0]} and {revisions[1]} is an ancestor of the"
        " other; name ends of one line of history"
    )


def _tell(repository: _Repository, answer: Answer) -> str:
    try:
        return repository.git("bisect", str(answer))
    except InfrastructureError as error:
        # Exit status 2, where only commits that were skipped are left.
        said = repository.git("bisect", "log")
        if "only skipped commits left" in said:
            return said
        raise InfrastructureError(f"git bisect {answer}: {error}") from error


def _found(said: str) -> tuple[str, ...]:
    """The commits that git names in what it said, empty while it goes on."""
    if one := re.search(r"^([0-9a-f]{40}) is the first new commit", said, re.MULTILINE):
        return (one[1],)
    return tuple(
        re.findall(r"^# possible first new commit: \[([0-9a-f]{40})\]", said, re.MULTILINE)
    )
