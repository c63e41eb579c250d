"""A run directory -> the store. By its id a run is there once, however often it comes."""

from __future__ import annotations

import hashlib
import json
import shlex
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from operator import itemgetter
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, RowMapping, delete, insert, select, update

from harness.errors import InputError
from harness.history.contents import Content, add, batches, packed
from harness.history.lineage import lineage_of
from harness.history.queries import TRANSCRIPTS
from harness.history.selected import UNKNOWN, selected_by
from harness.history.store import Store
from harness.history.tables import (
    FACTS,
    FILES,
    KERNELS,
    MESSAGES,
    NAMES,
    OUTCOMES,
    RESULTS,
    RUNS,
)
from harness.judge.exit_code import losses
from harness.judge.findings import first_line
from harness.judge.states import told_state, why_unknown
from harness.model import (
    FAILURES,
    Comparison,
    Fact,
    KernelIdentity,
    KernelResult,
    Outcome,
    Revisions,
    RunResult,
    State,
    Status,
    TestResult,
)
from harness.report.results_file import FILE_NAME, load

#: What of a run directory is kept beside results.json; reports are made from that again.
_KEPT = ("kernels/**/*", "payload.tar", "harness-error.log")
_MESSAGE = 500  # characters
#: Outcomes of which the first counts, should two tests have one name: the worse.
_WORST_FIRST = (
    Outcome.CRASHED,
    Outcome.TIMEOUT,
    Outcome.ERROR,
    Outcome.FAILED,
    Outcome.SKIPPED,
    Outcome.PASSED,
    Outcome.MISSING,
)
_PLAIN_STATES = (State.PRESENT, State.ABSENT, State.WORKS)


class Import(StrEnum):
    """What became of a run that was to be imported."""

    NEW = "new"
    KNOWN = "known"  # it was there, as it is
    REPLACED = "replaced"  # it was there, and has gone on or was judged anew since
    OLDER = "older"  # it is there, and has come to its end


@dataclass(frozen=True)
class Imported:
    """A run that is in the store now."""

    run: str  # its id
    what: Import


@dataclass(frozen=True)
class Prepared:
    """A run made ready, so that others wait only while its rows are written."""

    run: RunResult
    id: str
    source: str  # SHA-256 of results.json
    results: Content
    files: Mapping[str, Content] = field(default_factory=dict)  # by path


def import_run(store: Store, path: Path) -> Imported:
    """Store the run in the directory ``path``, or in a results.json alone.

    Raises InputError if it cannot be read, StoreError if it cannot be stored.
    """
    known = store.rows(
        "SELECT id FROM runs WHERE source = :source", source=hashlib.sha256(_read(path)).hexdigest()
    )
    if known:
        return Imported(known[0][0], Import.KNOWN)
    return write(store, prepare(path))


def prepare(path: Path) -> Prepared:
    """Read and compress the run at ``path``; raises InputError."""
    run = load(path)
    raw = _read(path)
    try:
        files = dict(_files(path)) if path.is_dir() else {}
    except OSError as error:
        raise InputError(f"{error.filename or path}: {error.strerror or error}") from error
    source = hashlib.sha256(raw).hexdigest()
    results, transcripts = _parted(json.loads(raw))
    # Runs of the first versions have no id.
    return Prepared(run, run.id or source[:16], source, results, files | transcripts)


def _read(path: Path) -> bytes:
    file = path / FILE_NAME if path.is_dir() else path
    try:
        return file.read_bytes()
    except OSError as error:
        raise InputError(f"{file}: {error.strerror or error}") from error


def write(store: Store, prepared: Prepared) -> Imported:
    """Write a run that was made ready; raises StoreError."""
    with store.writing() as connection:
        asked = select(RUNS.c.source, RUNS.c.ended).where(RUNS.c.id == prepared.id)
        known = connection.execute(asked).first()
        if known is not None:
            if known.source == prepared.source:
                return Imported(prepared.id, Import.KNOWN)
            if known.ended and not prepared.run.ended:
                return Imported(prepared.id, Import.OLDER)
            forget(connection, [prepared.id])
        _insert(connection, prepared)
    return Imported(prepared.id, Import.NEW if known is None else Import.REPLACED)


def forget(connection: Connection, runs: Sequence[str]) -> None:
    """Delete runs, but for the bulk that others may have as well (``contents``)."""
    for some in batches(runs):
        ids = select(RESULTS.c.id).where(RESULTS.c.run.in_(some))
        for table in (OUTCOMES, FACTS):
            connection.execute(delete(table).where(table.c.result.in_(ids)))
        for table, column in ((RESULTS, RESULTS.c.run), (FILES, FILES.c.run), (RUNS, RUNS.c.id)):
            connection.execute(delete(table).where(column.in_(some)))


def _files(path: Path) -> Iterator[tuple[str, Content]]:
    for pattern in _KEPT:
        for file in sorted(path.glob(pattern)):
            if file.is_file() and not file.is_symlink():
                yield str(file.relative_to(path)), packed(file.read_bytes())


def _parted(data: dict[str, Any]) -> tuple[Content, dict[str, Content]]:
    """results.json without the transcripts, and those: most runs of a kernel have the same."""
    files: dict[str, Content] = {}
    for place, kernel in enumerate(data["kernels"]):
        if kernel.get("transcripts"):
            files[f"{TRANSCRIPTS}{place}"] = _as_json(kernel["transcripts"])
            kernel["transcripts"] = {}
    return _as_json(data), files


def _as_json(value: object) -> Content:
    return packed(json.dumps(value).encode())


def _insert(connection: Connection, prepared: Prepared) -> None:
    run, revisions = prepared.run, prepared.run.revisions or Revisions()
    add(connection, [prepared.results, *prepared.files.values()])
    row = {
        "id": prepared.id,
        "started": run.started,
        "ended": run.ended,
        "exit_code": run.exit_code,
        "command": _fit(run.command),
        "harness": revisions.harness,
        "suite": revisions.suite,
        "own_suites": "\n".join(sorted(revisions.own_suites)),
        "image": revisions.image,
        "accel": run.host.accel,
        "results": prepared.results.sha256,
        "source": prepared.source,
    }
    connection.execute(insert(RUNS), row)
    for path, content in prepared.files.items():
        file = {"run": prepared.id, "path": path, "content": content.sha256}
        connection.execute(insert(FILES), file)
    kept = [_Kept.of(kernel) for kernel in run.kernels]
    names = _names(connection, (name for one in kept for name in one.names))
    messages = _messages(connection, (text for one in kept for text in one.messages))
    selected = selected_by(run.command)
    for place, (kernel, one) in enumerate(zip(run.kernels, kept, strict=True)):
        result = {
            # One that was reused is no further observation, and none to be held against.
            **_result_row(kernel, run, UNKNOWN if kernel.reused else selected),
            "run": prepared.id,
            "place": place,
            "kernel": _kernel(connection, kernel) if kernel.release else None,
        }
        number = connection.execute(insert(RESULTS), result).inserted_primary_key
        assert number is not None
        one.insert(connection, number[0], names, messages)


def _result_row(kernel: KernelResult, run: RunResult, selected: str) -> dict[str, object]:
    count = dict.fromkeys(Outcome, 0)
    for test in kernel.tests:
        count[test.outcome] += 1
    lost = sum(
        len(losses(comparison, run.kernels))
        for comparison in run.comparisons
        if _is_about(comparison, kernel)
    )
    verdict = kernel.verdict
    completed = kernel.status is Status.COMPLETED
    return {
        "role": kernel.role,
        "spec": _fit(kernel.spec),
        "exact": _fit(kernel.exact),
        "lineage": _fit(lineage_of(kernel.spec, kernel.release)),
        "append": _fit(shlex.join(kernel.append)),
        "suites": _fit(selected),
        "status": kernel.status,
        "ok": verdict.ok,
        "good": verdict.ok and completed and not lost and kernel.reused is None,
        "unknown": verdict.unknown,
        "lost": lost,
        "planned": len(kernel.plan),
        "passed": count[Outcome.PASSED],
        "failed": sum(count[outcome] for outcome in FAILURES),
        "skipped": count[Outcome.SKIPPED],
        "seconds": kernel.wall_seconds,
        "reason": _fit(first_line(verdict.reasons[0])) if verdict.reasons else "",
    }


def _is_about(comparison: Comparison, kernel: KernelResult) -> bool:
    return (comparison.candidate, comparison.candidate_spec, comparison.candidate_append) == (
        kernel.release,
        kernel.spec,
        kernel.append,
    )


@dataclass(frozen=True)
class _Kept:
    """Outcomes and facts of a kernel, as far as they are stored."""

    outcomes: Mapping[str, TestResult]
    facts: Mapping[str, Fact]

    @classmethod
    def of(cls, kernel: KernelResult) -> _Kept:
        worst: dict[str, TestResult] = {}
        for test in kernel.tests:
            name = _fit(test.id)
            known = worst.setdefault(name, test)
            if _WORST_FIRST.index(test.outcome) < _WORST_FIRST.index(known.outcome):
                worst[name] = test
        if kernel.reused:  # its outcomes are in the store, and count once
            worst = {}
        return cls(worst, {_fit(name): fact for name, fact in kernel.facts.named().items()})

    @property
    def names(self) -> Iterator[str]:
        yield from self.outcomes
        yield from self.facts

    @property
    def messages(self) -> Iterator[str]:
        yield from map(_test_message, self.outcomes.values())
        yield from (_fact_message(name, fact) for name, fact in self.facts.items())

    def insert(
        self, connection: Connection, result: int, names: dict[str, int], messages: dict[str, int]
    ) -> None:
        """Write them as those of a result; sorted, for so they lie in the table."""
        outcomes: list[dict[str, Any]] = [
            {
                "name": names[name],
                "result": result,
                "outcome": test.outcome,
                "boots": len(test.attempts) or 1,
                "passes": _passes(test),
                "message": messages.get(_test_message(test)),
            }
            for name, test in self.outcomes.items()
        ]
        facts: list[dict[str, Any]] = [
            {
                "name": names[name],
                "result": result,
                "state": told_state(name, fact),
                "code": fact.code.word if fact.code else "",
                "value": _fit(fact.value)[:_MESSAGE],
                "message": messages.get(_fact_message(name, fact)),
            }
            for name, fact in self.facts.items()
        ]
        for table, rows in ((OUTCOMES, outcomes), (FACTS, facts)):
            if rows:
                connection.execute(insert(table), sorted(rows, key=itemgetter("name")))


def _passes(test: TestResult) -> int:
    if test.attempts:
        return sum(attempt.outcome is Outcome.PASSED for attempt in test.attempts)
    return int(test.outcome is Outcome.PASSED)


def _test_message(test: TestResult) -> str:
    return "" if test.outcome is Outcome.PASSED else _fit(first_line(test.message))[:_MESSAGE]


def _fact_message(name: str, fact: Fact) -> str:
    state = told_state(name, fact)
    if state in _PLAIN_STATES:
        return ""
    said = why_unknown(fact) if state is State.UNKNOWN else fact.evidence
    return _fit(first_line(said))[:_MESSAGE]


def _kernel(connection: Connection, kernel: KernelResult) -> int:
    """The row of the kernel that a result is of: of that release, and none that is another."""
    known = kernel.kernel or KernelIdentity()
    packages = known.packages or tuple(package.sha256 for package in kernel.packages)
    row = {
        "release": _fit(kernel.release),
        "build_id": _fit(known.build_id),
        "package": next(iter(packages), ""),
        "git_commit": _fit(known.commit),
        "architecture": _fit(known.architecture),
        "compiler": _fit(known.compiler),
    }
    asked = select(KERNELS).where(KERNELS.c.release == row["release"]).order_by(KERNELS.c.id)
    for found in connection.execute(asked).mappings():
        if _same_kernel(row, found):
            # Runs of earlier versions did not record all of it.
            more = {name: value for name, value in row.items() if value and not found[name]}
            if more:
                this = KERNELS.c.id == found["id"]
                connection.execute(update(KERNELS).where(this).values(more))
            return int(found["id"])
    key = connection.execute(insert(KERNELS), row).inserted_primary_key
    assert key is not None
    return int(key[0])


def _same_kernel(one: Mapping[str, str], other: RowMapping) -> bool:
    """Whether two of one release are one, going by the first mark that both have.

    Without any such mark they are only if neither has one.
    """
    marks = ("build_id", "package", "git_commit")
    for mark in marks:
        if one[mark] and other[mark]:
            return bool(one[mark] == other[mark])
    return not any(one[mark] or other[mark] for mark in marks)


def _names(connection: Connection, wanted: Iterable[str]) -> dict[str, int]:
    """The number of each name; those that are new get one."""
    names = set(wanted)
    asked = select(NAMES.c.name, NAMES.c.id)
    known = {name: number for name, number in connection.execute(asked) if name in names}
    new = sorted(names - known.keys())
    if new:
        connection.execute(insert(NAMES), [{"name": name} for name in new])
        known = {name: number for name, number in connection.execute(asked) if name in names}
    return known


def _messages(connection: Connection, wanted: Iterable[str]) -> dict[str, int]:
    """The number of each message that is not empty."""
    texts = {_digest(text): text for text in set(wanted) if text}
    known = _known_messages(connection, texts)
    new = [{"sha256": key, "text": text} for key, text in texts.items() if key not in known]
    if new:
        connection.execute(insert(MESSAGES), new)
        known = _known_messages(connection, texts)
    return {text: known[key] for key, text in texts.items()}


def _known_messages(connection: Connection, texts: Mapping[str, str]) -> dict[str, int]:
    known: dict[str, int] = {}
    for some in batches(list(texts)):
        asked = select(MESSAGES.c.sha256, MESSAGES.c.id).where(MESSAGES.c.sha256.in_(some))
        known |= {row.sha256: row.id for row in connection.execute(asked)}
    return known


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def _fit(text: str) -> str:
    """``text`` as every database takes it: no NUL, and nothing that UTF-8 does not know."""
    return text.replace("\0", "\ufffd").encode(errors="replace").decode()
