"""What is asked of the store. Questions are SQL (see ``store``), answers frozen values."""

from __future__ import annotations

import json
import lzma
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from harness.errors import InputError
from harness.history.selected import covers
from harness.history.store import Store, StoreError
from harness.model import Outcome, Role, RunResult, State, Status
from harness.releases import version_key

TRANSCRIPTS = "#transcripts/"  # where those of the kernel at a place stand among its files


@dataclass(frozen=True)
class StoredRun:
    """A run of the store."""

    id: str
    started: str  # UTC, ISO 8601
    ended: str  # "" if it never came to its end
    exit_code: int
    command: str
    harness: str  # version
    suite: str  # revision
    image: str  # key of the guest image
    accel: str
    kernels: tuple[str, ...]  # releases, or specs where those are not known, in their order


@dataclass(frozen=True)
class StoredResult:
    """What became of a kernel in a run, in short."""

    number: int  # of the row
    run: str  # id
    started: str  # of the run: UTC, ISO 8601
    place: int  # in the run, from 0
    release: str
    identity: str  # build id, commit or SHA-256 of a package; "" where not known
    role: Role
    spec: str
    exact: str  # a spec that goes on naming this very kernel; "" if ``spec`` does
    lineage: str
    append: str
    suites: str  # what was selected (``selected``); "" is everything
    suite: str  # revision of the built-in suite
    accel: str
    status: Status
    ok: bool
    good: bool  # ok, whole, and nothing lost against a baseline
    unknown: bool
    lost: int
    planned: int
    passed: int
    failed: int
    skipped: int
    seconds: float | None
    reason: str  # the first one why it is not ok

    @property
    def whole(self) -> bool:
        """Whether all suites ran on it, to their end."""
        return self.status is Status.COMPLETED and not self.suites and not self.append


@dataclass(frozen=True)
class StoredFact:
    """The state of a fact on a kernel."""

    name: str
    result: StoredResult
    state: State
    code: str  # word of the kernel's code (``CodeWord``); "" if it was not asked
    value: str
    message: str  # why, where it is neither present nor absent


@dataclass(frozen=True)
class StoredOutcome:
    """What a test came to on a kernel, in all boots of a run."""

    name: str
    result: StoredResult
    outcome: Outcome
    boots: int  # in which it ran
    passes: int  # of those
    message: str  # unless it passed


_RESULT = """
    r.id, r.run, u.started, r.place, k.release,
    COALESCE(NULLIF(k.build_id, ''), NULLIF(k.git_commit, ''), k.package),
    r.role, r.spec, r.exact, r.lineage, r.append, r.suites, u.suite, u.accel,
    r.status, r.ok, r.good, r.unknown, r.lost, r.planned,
    r.passed, r.failed, r.skipped, r.seconds, r.reason
"""
_OF_RESULTS = "results r JOIN runs u ON u.id = r.run LEFT JOIN kernels k ON k.id = r.kernel"
_NEWEST_FIRST = "ORDER BY u.started DESC, r.id DESC"


def runs(store: Store) -> list[StoredRun]:
    """All runs, newest first."""
    kernels: dict[str, list[str]] = {}
    for run, release, spec in store.rows(
        f"SELECT r.run, k.release, r.spec FROM {_OF_RESULTS} ORDER BY r.run, r.place"
    ):
        kernels.setdefault(run, []).append(release or spec)
    return [
        StoredRun(*(*row, tuple(kernels.get(row[0], ()))))
        for row in store.rows(
            "SELECT id, started, ended, exit_code, command, harness, suite, image, accel"
            " FROM runs ORDER BY started DESC, id"
        )
    ]


def run_named(store: Store, name: str) -> StoredRun:
    """The run whose id begins with ``name``; raises InputError if that is none or several."""
    found = [run for run in runs(store) if run.id.startswith(name)] if name else []
    if len(found) != 1:
        problem = f"means {len(found)} runs" if found else "no such run"
        raise InputError(
            f"{name}: {problem} in the store {store.name}; afalg-harness runs list shows them"
        )
    return found[0]


def results(
    store: Store, *, release: str = "", lineage: str = "", run: str = ""
) -> list[StoredResult]:
    """The results of a kernel, a lineage or a run, or all of them; newest first."""
    wanted = {"k.release": release, "r.lineage": lineage, "r.run": run}
    given = {name: value for name, value in wanted.items() if value}
    where = " AND ".join(f"{name} = :p{number}" for number, name in enumerate(given)) or "1 = 1"
    parameters = {f"p{number}": value for number, value in enumerate(given.values())}
    return [
        _result(row)
        for row in store.rows(
            f"SELECT {_RESULT} FROM {_OF_RESULTS} WHERE {where} {_NEWEST_FIRST}", **parameters
        )
    ]


def latest_results(store: Store, lineage: str = "") -> list[StoredResult]:
    """Of each kernel the newest whole result, kernels by version, oldest first.

    Of a kernel on which never everything ran to its end, the newest one.
    """
    newest: dict[tuple[str, str], StoredResult] = {}
    for result in results(store, lineage=lineage):
        if result.release:
            known = newest.setdefault((result.release, result.identity), result)
            if result.whole and not known.whole:
                newest[result.release, result.identity] = result
    return sorted(newest.values(), key=lambda one: (version_key(one.release), one.identity))


def last_good(
    store: Store, lineage: str, asked: str = "", *, append: str = "", before: str = ""
) -> StoredResult | None:
    """The newest good result of a lineage that was put to all that ``asked`` selects.

    Of the newest kernel that has one, the newest. ``append`` are kernel arguments, as a shell
    takes them, which it must have had; ``before`` is a release that it must come before.
    """
    found = [
        result
        for result in results(store, lineage=lineage)
        if result.good
        and result.release
        and result.append == append
        and covers(result.suites, asked)
        and (not before or version_key(result.release) < version_key(before))
    ]
    # ``results`` are newest first, and of those that are alike max() takes the first.
    return max(found, key=lambda one: (version_key(one.release), one.started), default=None)


def facts(
    store: Store, glob: str = "*", of: Sequence[StoredResult] | None = None
) -> list[StoredFact]:
    """The states of the facts that ``glob`` matches (``*`` and ``?``), of each kernel's newest
    result or of the results ``of``, in their order.
    """
    among = latest_results(store) if of is None else of
    pattern = glob.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_")
    pattern = pattern.replace("*", "%").replace("?", "_")
    found: dict[int, list[StoredFact]] = {}
    by_number = {result.number: result for result in among}
    for number, name, state, code, value, message in store.rows(
        "SELECT f.result, n.name, f.state, f.code, f.value, m.text"
        " FROM names n JOIN facts f ON f.name = n.id LEFT JOIN messages m ON m.id = f.message"
        " WHERE n.name LIKE :pattern ESCAPE '\\' ORDER BY n.name",
        pattern=pattern,
    ):
        if number in by_number:
            fact = StoredFact(name, by_number[number], State(state), code, value, message or "")
            found.setdefault(number, []).append(fact)
    return [fact for result in among for fact in found.get(result.number, ())]


def line(store: Store, test: str) -> list[StoredOutcome]:
    """Every outcome of one test, newest first."""
    return [
        StoredOutcome(test, _result(row), Outcome(row[-4]), row[-3], row[-2], row[-1] or "")
        for row in store.rows(
            f"SELECT {_RESULT}, o.outcome, o.boots, o.passes, m.text"
            " FROM names n JOIN outcomes o ON o.name = n.id JOIN results r ON r.id = o.result"
            " JOIN runs u ON u.id = r.run LEFT JOIN kernels k ON k.id = r.kernel"
            f" LEFT JOIN messages m ON m.id = o.message WHERE n.name = :test {_NEWEST_FIRST}",
            test=test,
        )
    ]


def names(store: Store) -> tuple[str, ...]:
    """All names of tests and facts."""
    return tuple(name for (name,) in store.rows("SELECT name FROM names ORDER BY name"))


def document(store: Store, run: str) -> dict[str, Any]:
    """results.json of a run, as it was imported; raises StoreError if the store is damaged."""
    found = store.rows(
        "SELECT c.data FROM runs u JOIN contents c ON c.sha256 = u.results WHERE u.id = :run",
        run=run,
    )
    data: dict[str, Any] = json.loads(_unpacked(store, run, found[0][0]))
    for path, content in files(store, run, transcripts=True):
        data["kernels"][int(path.removeprefix(TRANSCRIPTS))]["transcripts"] = json.loads(content)
    return data


def files(store: Store, run: str, *, transcripts: bool = False) -> Iterator[tuple[str, bytes]]:
    """What lay beside results.json, by path; or the ``transcripts`` that were in it."""
    for (path,) in store.rows("SELECT path FROM files WHERE run = :run ORDER BY path", run=run):
        if path.startswith(TRANSCRIPTS) == transcripts:
            ((data,),) = store.rows(
                "SELECT c.data FROM files f JOIN contents c ON c.sha256 = f.content"
                " WHERE f.run = :run AND f.path = :path",
                run=run,
                path=path,
            )
            yield path, _unpacked(store, run, data)


def run_result(store: Store, run: str) -> RunResult:
    """A whole run, as it was imported."""
    from harness.report.results_file import structured  # noqa: PLC0415  (slow)

    return structured(document(store, run), f"{store.name}: run {run}")


def _unpacked(store: Store, run: str, data: bytes) -> bytes:
    try:
        return lzma.decompress(data)
    except lzma.LZMAError as error:
        raise StoreError(f"{store.name}: the store is damaged (run {run}: {error})") from error


def _result(row: Sequence[Any]) -> StoredResult:
    number, run, started, place, release, identity, role, *rest = row[:25]
    spec, exact, lineage, append, suites, suite, accel, status, ok, good, unknown = rest[:11]
    return StoredResult(
        number,
        run,
        started,
        place,
        release or "",
        identity or "",
        Role(role),
        spec,
        exact,
        lineage,
        append,
        suites,
        suite,
        accel,
        Status(status),
        bool(ok),
        bool(good),
        bool(unknown),
        *rest[11:],
    )
