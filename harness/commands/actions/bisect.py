"""Bisects, by a list of kernels or the commits of a git tree."""

from __future__ import annotations

import argparse
import functools
import threading
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

from rich.console import Console

from harness.bisect.candidates import (
    Candidate,
    Candidates,
    check_patterns,
    from_archive,
    is_listed,
    listed,
    split_among,
)
from harness.bisect.changelog import Entry, entries_between
from harness.bisect.check import (
    BisectCheck,
    command_words,
    parse_check,
    refuse_what_is_not_there,
    write_command_suite,
)
from harness.bisect.code_words import CodeWords
from harness.bisect.ends import Question
from harness.bisect.found import store_found
from harness.bisect.git_search import GitSearchResult, older_first, search_git
from harness.bisect.report import Conclusion, markdown, terminal_lines
from harness.bisect.search import SearchResult, search
from harness.bisect.state import Asked, BisectState, Step
from harness.bisect.tester import Tester
from harness.commands.actions.refusals import (
    refuse_bad_guest,
    refuse_bad_kernels,
    refuse_long_append,
)
from harness.commands.display import progress_display
from harness.commands.signals import stopping
from harness.commands.sources import kernel_sources
from harness.errors import ExitCode, InputError
from harness.executors.choice import executors_of
from harness.executors.names import is_elsewhere
from harness.guest.payload import Selection
from harness.judge.expectations import Expectations
from harness.kernels.resolve import available
from harness.kernels.source.git import GitTree
from harness.kernels.sources import KernelSources
from harness.kernels.spec import GitSpec, parse_spec
from harness.progress import Progress
from harness.run_options import RunOptions


def execute(arguments: argparse.Namespace) -> int:
    """Bisect; returns the exit code."""
    question = _question(arguments)
    if not is_elsewhere(arguments.executor):
        refuse_bad_guest(arguments)
    refuse_long_append(arguments)
    among = split_among(arguments.among)
    if arguments.among and not among:
        raise InputError("--among: names no kernel")
    tree = _git_tree(among, question.specs[0])
    refuse_what_is_not_there(question.check)
    with progress_display(Console(stderr=True), arguments.quiet) as progress:
        sources = kernel_sources(arguments)
        candidates = None
        if tree is None:
            candidates = _candidates(question, among, sources, progress)
        else:
            _refuse_bad_ends(tree, question, sources, progress)
        conclusion, steps, out = _bisect(arguments, question, among, candidates, tree, progress)
    print(terminal_lines(conclusion, steps, whole=arguments.verbose))
    print(f"\nbisect directory: {out}")
    if not (conclusion.old.value and conclusion.new.value):
        return ExitCode.INFRASTRUCTURE
    return ExitCode.OK if conclusion.is_found else ExitCode.REGRESSION


def _bisect(
    arguments: argparse.Namespace,
    question: Question,
    among: tuple[str, ...],
    candidates: Candidates | None,
    tree: Path | None,
    progress: Progress,
) -> tuple[Conclusion, list[Step], Path]:
    """What was found, the steps that led there, and their directory."""
    asked = Asked(
        arguments.check or arguments.guest_command or "",
        arguments.find or "",
        question.specs,
        among,
        _options(arguments),
    )
    out = arguments.out or Path("runs") / f"bisect-{asked.identity()}"
    state = BisectState(out, asked, fresh=arguments.fresh)
    try:
        tester = make_tester(arguments, question.check, out, progress, question.find)
        with (
            stopping(tester.stop, progress),
            executors_of(tester.options, progress) as executors,
        ):
            executor = executors(tester.options, progress, tester.stop)
            executor.check()
            room = executor.slots() if is_elsewhere(arguments.executor) else 1
            at_once = arguments.jobs or room
            tester = replace(tester, executors=executors, at_once=at_once)
            announce = functools.partial(progress.finish, "bisect")
            work = _Work(question, tester, state, announce, _again(arguments))
            if candidates is not None:
                conclusion = _search_list(work, candidates)
            else:
                assert tree is not None
                conclusion = _search_git(work, tree)
        steps = list(state.steps.values())
        (out / "bisect.md").write_text(markdown(conclusion, steps))
        store_found(conclusion, out)
    finally:
        state.close()
    return conclusion, steps, out


def _candidates(
    question: Question, among: tuple[str, ...], sources: KernelSources, progress: Progress
) -> Candidates:
    """The kernels to choose from. Raises InputError if one that is named cannot be had."""
    if is_listed(among):
        candidates = listed(among, *question.specs)
        refuse_bad_kernels([kernel.spec for kernel in candidates.kernels], sources, progress)
        return candidates
    check_patterns(among)
    return from_archive(available(sources, progress), among, *question.specs)


def _refuse_bad_ends(
    tree: Path, question: Question, sources: KernelSources, progress: Progress
) -> None:
    """Raise InputError for ends of a git tree that are none."""
    first, second = (_revision(spec, tree) for spec in question.specs)
    older_first(GitTree(tree), (first, second))
    specs = [f"git:{tree}@{revision}" for revision in (first, second)]
    refuse_bad_kernels(specs, sources, progress)


def make_tester(
    arguments: argparse.Namespace,
    check: BisectCheck,
    out: Path,
    progress: Progress,
    find: str = "",
) -> Tester:
    """What tests one kernel, from the arguments; ``out`` holds the suite of --command."""
    suites: tuple[str, ...] = ()
    if check.kind == "command":
        suites = (str(write_command_suite(check.name, out.absolute() / "command")),)
    options = RunOptions(
        specs=(),
        baseline=None,
        sources=kernel_sources(arguments),
        out=out,
        command="afalg-harness bisect",
        expectations=Expectations(),
        selection=Selection(),
        jobs=arguments.jobs,
        executor=arguments.executor,
        accel=arguments.accel,
        root=arguments.root,
        guest_suite=arguments.guest_suite,
        append=tuple(arguments.append),
        suite_timeout=arguments.timeout,
    )
    return Tester(check, options, arguments.repeat, progress, threading.Event(), suites, find)


def _question(arguments: argparse.Namespace) -> Question:
    """What is asked, the ends in the order in which they are named: good or old first."""
    names, first, second = _ends(arguments)
    check, find = _check(arguments)
    options = [word for item in arguments.among for word in ("--among", item)]
    options += ["--repeat", str(arguments.repeat)] if arguments.repeat > 1 else []
    return Question(check, names, (first, second), find, (*options, *_again(arguments)))


def _ends(arguments: argparse.Namespace) -> tuple[tuple[str, str], str, str]:
    """The user's words for the two ends, and their specs: good or old first."""
    good, bad, old, new = arguments.good, arguments.bad, arguments.old, arguments.new
    if good and bad and not (old or new):
        return ("good", "bad"), good, bad
    if old and new and not (good or bad):
        return ("old", "new"), old, new
    raise InputError("bisect: name both ends, by --good and --bad or by --old and --new")


def _check(arguments: argparse.Namespace) -> tuple[BisectCheck, str]:
    """The check, and the value that --find asks for ("" without it)."""
    name, _, value = (arguments.find or "").rpartition("=")
    if arguments.find and not (name and value):
        raise InputError(
            f"--find {arguments.find}: give CHECK=VALUE, for instance"
            " zero_copy.skcipher.splice_file=absent"
        )
    check = parse_checks(arguments.check, arguments.guest_command, name)
    if value:
        check.refuse_value(value)
    return check, value


def parse_checks(check: str | None, command: str | None, found: str = "") -> BisectCheck:
    """The one check that was named in any of these ways. Raises InputError."""
    named = {text for text in (check, found) if text}
    if command and named:
        raise InputError("--command is a check by itself; leave out --check and --find")
    if command:
        command_words(command)
        return BisectCheck("command", command)
    if len(named) != 1:
        raise InputError(
            "name one check: --check, --find CHECK=VALUE or --command"
            if not named
            else f"--check and --find name two checks: {', '.join(sorted(named))}"
        )
    return parse_check(named.pop())


def _git_tree(among: tuple[str, ...], first: str) -> Path | None:
    trees = [item for item in among if item.startswith("git:")]
    if not trees and first.startswith("git:"):
        parsed = parse_spec(first)
        return parsed.tree if isinstance(parsed, GitSpec) and not among else None
    if not trees or (is_listed(among) and len(among) > 1):
        return None
    if len(among) > 1:
        raise InputError("--among git:TREE stands alone")
    parsed = parse_spec(trees[0])
    assert isinstance(parsed, GitSpec)
    return parsed.tree


def _revision(spec: str, tree: Path) -> str:
    """The revision of an end: git:TREE@REV of that tree, or a bare revision."""
    if not spec.startswith("git:"):
        return spec
    parsed = parse_spec(spec)
    assert isinstance(parsed, GitSpec)
    if parsed.tree.resolve() != tree.resolve():
        raise InputError(f"{spec} is not of the tree {tree}")
    return parsed.revision


def _options(arguments: argparse.Namespace) -> tuple[str, ...]:
    """What else bears on what is observed."""
    words = [f"repeat={arguments.repeat}", f"root={arguments.root}"]
    words += [f"guest-suite={arguments.guest_suite}"] if arguments.guest_suite else []
    words += [f"append={item}" for item in arguments.append]
    words += [f"kconfig={item}" for item in arguments.kconfig]
    words += [f"timeout={arguments.timeout}"] if arguments.timeout else []  # it may be the answer
    return tuple(words)


def _again(arguments: argparse.Namespace) -> tuple[str, ...]:
    """Options that a command needs to show an end again."""
    lists = {"--append": arguments.append, "--kconfig": arguments.kconfig}
    words = [word for name, values in lists.items() for one in values for word in (name, one)]
    defaults = dict.fromkeys(("guest_suite", "mirror", "timeout"))
    defaults |= {"root": "image", "accel": "auto"}
    for name, default in defaults.items():
        value = getattr(arguments, name)
        words += [f"--{name.replace('_', '-')}", str(value)] if value != default else []
    return tuple(words)


@dataclass(frozen=True)
class _Work:
    """All that the search of either kind needs."""

    question: Question
    tester: Tester
    state: BisectState
    announce: Callable[[str], None]
    again: tuple[str, ...]  # further options of the commands that show an end again

    def conclusion(self, question: Question, result: SearchResult | GitSearchResult) -> Conclusion:
        """What either kind of search tells, without what it found."""
        test = result.new.test or result.old.test
        return Conclusion(
            question.check.title,
            question.names,
            result.ends,
            result.old,
            result.new,
            suites=self.tester.suites or question.check.suites(test),
            options=self.again,
        )


def _search_git(work: _Work, tree: Path) -> Conclusion:
    first, second = work.question.specs
    revisions = (_revision(first, tree), _revision(second, tree))
    result = search_git(tree, revisions, work.question, work.tester, work.state, work.announce)
    details = tuple(result.described.splitlines())
    return replace(
        work.conclusion(result.question, result),
        first_new=result.first_new,
        details=details,
        short_details=details,
        noun="commit",
        log=result.log,
    )


def _search_list(work: _Work, candidates: Candidates) -> Conclusion:
    question = work.question
    if not candidates.forward:
        question = question.reversed()
    order = candidates.kernels
    work.announce(f"{len(order)} kernels, from {order[0].spec} to {order[-1].spec}")
    specs = [kernel.spec for kernel in order]
    words = CodeWords(question.check, work.tester.options.sources)
    result = search(specs, question, work.tester, work.state, work.announce, words)
    conclusion = work.conclusion(question, result)
    if result.found is None:
        return conclusion
    old, new = order[result.found.last_old], order[result.found.first_new]
    entries = _changelog(work, old, new)
    return replace(
        conclusion,
        last_old=old.spec,
        first_new=(*(order[index].spec for index in result.found.between), new.spec),
        details=tuple(line for entry in entries for line in (entry.version, *entry.lines)),
        short_details=tuple(line for entry in entries for line in _in_short(entry)),
    )


def _changelog(work: _Work, old: Candidate, new: Candidate) -> tuple[Entry, ...]:
    if not (old.version and new.version):
        return ()
    return entries_between(work.tester.options.sources, old.version, new.version)


def _in_short(entry: Entry) -> tuple[str, ...]:
    about = entry.about_crypto()
    head = f"changelog of {entry.version}: {len(entry.lines)} lines, {len(about)} on crypto"
    return (head, *(f"  {line}" for line in about))
