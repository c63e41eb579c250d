"""What is asked of the store. Questions are SQL (see ``store``), answers frozen values."""

from __future__ import annotations

import json
import lzma
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from harness.errors import InputError
from harness.history.selected import covers
from harness.history.store import Store, StoreError
from harness.model import Role, RunResult, State, Status
from harness.releases import Key, version_key

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


class StoredOutcome(NamedTuple):
    """What a test came to on a kernel, in all boots of a run. (A tuple: there are many.)"""

    run: str
    started: str  # of the run: UTC, ISO 8601
    release: str
    identity: str  # build id, commit or SHA-256 of a package; "" where not known
    append: str
    suite: str  # revisions of the built-in suite and of the user's
    outcome: str  # of ``Outcome``
    boots: int  # in which it ran
    passes: int  # of those
    message: str  # unless it passed

    @property
    def circumstances(self) -> tuple[str, str, str, str]:
        """In which it should come to the same, every time."""
        return self.release, self.identity, self.append, self.suite


_IDENTITY = "COALESCE(NULLIF(k.build_id, ''), NULLIF(k.git_commit, ''), k.package)"
_RESULT = f"""
    r.id, r.run, u.started, r.place, k.release, {_IDENTITY},
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
    good = [
        result
        for result in results(store, lineage=lineage)
        if result.good and covers(result.suites, asked) and result.append == append
    ]
    return _newest_kernels(
        result for result in good if not before or version_key(result.release) < version_key(before)
    )


def last_good_results(store: Store) -> list[StoredResult]:
    """The last good result of each lineage, of each selection and each set of arguments."""
    groups: dict[tuple[str, str, str], list[StoredResult]] = {}
    for result in results(store):
        if result.good:
            key = result.lineage, result.suites, result.append
            groups.setdefault(key, []).append(result)
    return [found for group in groups.values() if (found := _newest_kernels(group))]


def _newest_kernels(found: Iterable[StoredResult]) -> StoredResult | None:
    """Of the newest kernel the newest; those of a branch are as new as their run."""

    def age(one: StoredResult) -> tuple[Key, str]:
        branch = one.lineage.startswith("git:")
        return () if branch else version_key(one.release), one.started

    return max(found, key=age, default=None)


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


def line(store: Store, test: str, *, release: str = "") -> list[StoredOutcome]:
    """Every outcome of one test, on every kernel or on those of ``release``, newest first."""
    only = "AND k.release = :release" if release else ""
    return [
        StoredOutcome(*row)
        for row in store.rows(
            f"SELECT r.run, u.started, k.release, {_IDENTITY}, r.append, u.suite || u.own_suites,"
            " o.outcome, o.boots, o.passes, COALESCE(m.text, '')"
            " FROM names n JOIN outcomes o ON o.name = n.id JOIN results r ON r.id = o.result"
            " JOIN runs u ON u.id = r.run JOIN kernels k ON k.id = r.kernel"
            f" LEFT JOIN messages m ON m.id = o.message WHERE n.name = :test {only}"
            f" {_NEWEST_FIRST}",
            test=test,
            release=release,
        )
    ]


def unsteady(store: Store, release: str) -> tuple[str, ...]:
    """Tests that have both passed and failed on kernels of a release, in any circumstances."""
    return tuple(
        name
        for (name,) in store.rows(
            "SELECT n.name FROM outcomes o JOIN names n ON n.id = o.name"
            " JOIN results r ON r.id = o.result JOIN kernels k ON k.id = r.kernel"
            " WHERE k.release = :release AND o.outcome NOT IN ('skipped', 'missing')"
            " GROUP BY n.name HAVING SUM(o.passes) > 0 AND SUM(o.passes) < SUM(o.boots)"
            " ORDER BY n.name",
            release=release,
        )
    )


def names(store: Store) -> tuple[str, ...]:
    """All names of tests and facts."""
    return tuple(name for (name,) in store.rows("SELECT name FROM names ORDER BY name"))


def is_known(store: Store, name: str) -> bool:
    """Whether there is a test or a fact of that name."""
    return bool(store.rows("SELECT 1 FROM names WHERE name = :name", name=name))


def releases(store: Store) -> list[str]:
    """The releases of all kernels, by version."""
    found = {release for (release,) in store.rows("SELECT release FROM kernels")}
    return sorted(found, key=version_key)


def document(store: Store, run: str) -> dict[str, Any]:
    """results.json of a run, as it was imported; raises StoreError if the store is damaged."""
    data = _document(store, run)
    for path, content in files(store, run, transcripts=True):
        data["kernels"][int(path.removeprefix(TRANSCRIPTS))]["transcripts"] = json.loads(content)
    return data


def _document(store: Store, run: str) -> dict[str, Any]:
    """results.json without its transcripts."""
    found = store.rows(
        "SELECT c.data FROM runs u JOIN contents c ON c.sha256 = u.results WHERE u.id = :run",
        run=run,
    )
    data: dict[str, Any] = json.loads(_unpacked(store, run, found[0][0]))
    return data


def kernel_of(store: Store, run: str, place: int) -> RunResult:
    """A run as if it had been of the kernel at ``place`` alone; raises as ``document`` does."""
    from harness.report.results_file import structured  # noqa: PLC0415  (slow)

    data = _document(store, run)
    data["kernels"], data["comparisons"] = [data["kernels"][place]], []
    for path, content in files(store, run, transcripts=True):
        if path == f"{TRANSCRIPTS}{place}":
            data["kernels"][0]["transcripts"] = json.loads(content)
    return structured(data, f"{store.name}: run {run}")


def files(
    store: Store, run: str, below: str = "", *, transcripts: bool = False
) -> Iterator[tuple[str, bytes]]:
    """What lay beside results.json, by path, of the folder ``below`` alone if one is given; or
    the ``transcripts`` that were in it.
    """
    folder = f"{below}/" if below else ""
    for path in sizes(store, run, transcripts=transcripts):
        if path.startswith(folder):
            ((data,),) = store.rows(
                "SELECT c.data FROM files f JOIN contents c ON c.sha256 = f.content"
                " WHERE f.run = :run AND f.path = :path",
                run=run,
                path=path,
            )
            yield path, _unpacked(store, run, data)


def sizes(store: Store, run: str, *, transcripts: bool = False) -> dict[str, int]:
    """The size in bytes of each of those files."""
    return {
        path: size
        for path, size in store.rows(
            "SELECT f.path, c.size FROM files f JOIN contents c ON c.sha256 = f.content"
            " WHERE f.run = :run ORDER BY f.path",
            run=run,
        )
        if path.startswith(TRANSCRIPTS) == transcripts
    }


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
