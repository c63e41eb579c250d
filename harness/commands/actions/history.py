"""Tells what the store knows of a test, a fact or a kernel."""

from __future__ import annotations

import argparse
import difflib
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from fnmatch import fnmatchcase

from rich.console import Console

from harness.errors import ExitCode, InputError
from harness.history import queries
from harness.history.queries import StoredFact, StoredOutcome, StoredResult
from harness.history.stability import TELLING, Stability, stability
from harness.history.store import Store, store_url
from harness.model import Outcome, State
from harness.output import reader_may_leave
from harness.releases import version_key
from harness.report.tables import Column, print_table
from harness.text import clean, short

_MARKS: Mapping[str, str] = {
    Outcome.PASSED: ".",
    Outcome.FAILED: "F",
    Outcome.ERROR: "E",
    Outcome.CRASHED: "C",
    Outcome.TIMEOUT: "T",
    Outcome.SKIPPED: "s",
    Outcome.MISSING: "-",
}
_STATE_MARKS: Mapping[str, str] = {
    State.ABSENT: "a",
    State.PRESENT: "P",
    State.UNREACHABLE: "u",
    State.UNKNOWN: "?",
    State.WORKS: "W",
    State.FAILS: "F",
}
_MIXED = "~"
_SAID = 60  # characters of what a test said, in a table


def execute(arguments: argparse.Namespace) -> int:
    """Tell; raises InputError if the store knows nothing of that name."""
    store = Store(store_url(arguments.store))
    name = arguments.name
    with reader_may_leave():
        if not queries.is_known(store, name):
            _tell_kernel(store, _kernels_named(store, name), arguments)
        elif outcomes := queries.line(store, name):
            _tell_test(name, _of_kernels(outcomes, arguments.kernel), arguments)
        else:
            _tell_fact(store, name, arguments)
    return ExitCode.OK


def _kernels_named(store: Store, name: str) -> list[str]:
    """The releases that ``name`` means; raises InputError if the store knows none."""
    wanted = name.removeprefix("debian:")
    known = queries.releases(store)
    found = [release for release in known if release == wanted]
    found = found or [one for one in known if one.startswith(wanted) or fnmatchcase(one, wanted)]
    if found:
        return found
    if not known:
        raise InputError(
            f"{name}: nothing is known, for no run is in the store {store.name};"
            " afalg-harness runs import puts some into it"
        )
    close = difflib.get_close_matches(name, [*queries.names(store), *known], n=3)
    hint = f"; there are {', '.join(close)}" if close else ""
    raise InputError(
        f"{name}: the store {store.name} knows no test, fact or kernel so called{hint}"
    )


def _of_kernels(outcomes: Sequence[StoredOutcome], glob: str | None) -> list[StoredOutcome]:
    return [one for one in outcomes if glob is None or fnmatchcase(one.release, glob)]


def _tell_test(name: str, outcomes: Sequence[StoredOutcome], arguments: argparse.Namespace) -> None:
    by_kernel: dict[tuple[str, str], list[StoredOutcome]] = {}
    for one in outcomes:
        by_kernel.setdefault((one.release, one.identity), []).append(one)
    kernels = sorted(by_kernel.items(), key=lambda item: (version_key(item[0][0]), item[0][1]))
    if arguments.json:
        print(json.dumps(_test_as_json(name, kernels, arguments.last), indent=2))
        return
    console = Console()
    if not arguments.quiet:
        _line(console, name)
        _line(console, _in_words(stability(outcomes), [seen[0] for _, seen in kernels]))
    columns = (
        Column("KERNEL", wrap=False),
        Column("RUNS", right=True, wrap=False),
        Column("PASSES IN A ROW", right=True),
        Column("FLAKES", right=True, wrap=False),
        Column("OLDEST TO NEWEST", wrap=False),
        Column("LAST RUN (UTC)", wrap=False, dropped_below=110),
        Column("SAID", dropped_below=90),
    )
    rows = [
        [*_record(release, seen, arguments.last), _last_said(seen)]
        for (release, _), seen in kernels
    ]
    print_table(columns, rows, console)
    if arguments.verbose:
        for (release, _), seen in kernels:
            _print_runs(console, release, seen[: arguments.last])


def _in_words(record: Stability, newest: Sequence[StoredOutcome]) -> str:
    telling = [one for one in newest if one.outcome in TELLING]
    if not telling:
        return "neither passed nor failed on any kernel"
    passing = sum(one.passes == one.boots for one in telling)
    return (
        f"passes on {passing} of {len(telling)} kernels, by the newest run of each;"
        f" flake rate {_percent(record)} ({record.flakes} of {record.boots} boots)"
    )


def _percent(record: Stability) -> str:
    return f"{100 * record.flake_rate:.1f} %"


def _record(release: str, seen: Sequence[StoredOutcome], last: int) -> list[str]:
    record = stability(seen)
    marks = "".join(map(_mark, reversed(seen[:last])))
    flakes = _percent(record) if record.flakes else "0" if record.runs else ""
    row = str(record.in_a_row) if record.runs else ""
    return [release, str(len(seen)), row, flakes, marks, _minute(seen[0].started)]


def _mark(one: StoredOutcome) -> str:
    mixed = one.outcome in TELLING and 0 < one.passes < one.boots
    return _MIXED if mixed else _MARKS[one.outcome]


def _last_said(seen: Sequence[StoredOutcome]) -> str:
    """What was said the last time that it did not pass."""
    return short(next((one.message for one in seen if one.message), ""), _SAID)


def _print_runs(console: Console, release: str, seen: Sequence[StoredOutcome]) -> None:
    _line(console, "")
    _line(console, f"{release}:")
    for one in seen:
        boots = f" in {one.passes} of {one.boots} boots" if one.boots > 1 else ""
        outcome = f"passed{boots}" if boots and one.outcome == Outcome.PASSED else one.outcome
        said = f": {one.message}" if one.message else ""
        arguments = f" [{one.append}]" if one.append else ""
        _line(console, f"  {_minute(one.started)}  {one.run}{arguments}  {outcome}{said}")


def _test_as_json(
    name: str, kernels: Sequence[tuple[tuple[str, str], list[StoredOutcome]]], last: int
) -> dict[str, object]:
    def told(seen: Sequence[StoredOutcome]) -> dict[str, object]:
        record = stability(seen)
        return {**asdict(record), "flake_rate": round(record.flake_rate, 4)}

    return {
        "test": name,
        **told([one for _, seen in kernels for one in seen]),
        "kernels": [
            {
                "release": release,
                "identity": identity,
                **told(seen),
                "outcomes": [
                    {
                        "run": one.run,
                        "started": one.started,
                        "append": one.append,
                        "suite": one.suite,
                        "outcome": one.outcome,
                        "boots": one.boots,
                        "passes": one.passes,
                        "message": one.message,
                    }
                    for one in seen[:last]
                ],
            }
            for (release, identity), seen in kernels
        ],
    }


def _tell_fact(store: Store, name: str, arguments: argparse.Namespace) -> None:
    glob = arguments.kernel or "*"
    among = [one for one in queries.results(store) if fnmatchcase(one.release, glob)]
    by_kernel: dict[tuple[str, str], list[StoredFact]] = {}
    for fact in queries.facts(store, name, among):
        if fact.result.release:
            key = fact.result.release, fact.result.identity
            by_kernel.setdefault(key, []).append(fact)
    kernels = sorted(by_kernel.items(), key=lambda item: (version_key(item[0][0]), item[0][1]))
    if arguments.json:
        print(json.dumps(_fact_as_json(name, kernels, arguments.last), indent=2))
        return
    console = Console()
    if not arguments.quiet:
        _line(console, name)
        marks = ", ".join(f"{mark} {state}" for state, mark in _STATE_MARKS.items())
        _line(console, f"states: {marks}; by the newest run")
    columns = (
        Column("KERNEL", wrap=False),
        Column("STATE", wrap=False),
        Column("RUNS", right=True, wrap=False),
        Column("OLDEST TO NEWEST", wrap=False),
        Column("LAST RUN (UTC)", wrap=False, dropped_below=90),
        Column("WHY", dropped_below=90),
    )
    print_table(columns, [_states(seen, arguments.last) for _, seen in kernels], console)


def _states(seen: Sequence[StoredFact], last: int) -> list[str]:
    newest = seen[0]
    state = f"{newest.state} ({newest.value})" if newest.value else str(newest.state)
    return [
        newest.result.release,
        state,
        str(len(seen)),
        "".join(_STATE_MARKS[fact.state] for fact in reversed(seen[:last])),
        _minute(newest.result.started),
        short(newest.message, _SAID),
    ]


def _fact_as_json(
    name: str, kernels: Sequence[tuple[tuple[str, str], list[StoredFact]]], last: int
) -> dict[str, object]:
    return {
        "fact": name,
        "kernels": [
            {
                "release": release,
                "identity": identity,
                "state": seen[0].state,
                "states": [
                    {
                        "run": fact.result.run,
                        "started": fact.result.started,
                        "append": fact.result.append,
                        "state": fact.state,
                        "code": fact.code,
                        "value": fact.value,
                        "message": fact.message,
                    }
                    for fact in seen[:last]
                ],
            }
            for (release, identity), seen in kernels
        ],
    }


def _tell_kernel(store: Store, releases: Sequence[str], arguments: argparse.Namespace) -> None:
    found = {release: queries.results(store, release=release) for release in releases}
    if arguments.json:
        print(json.dumps([asdict(one) for seen in found.values() for one in seen], indent=2))
        return
    console = Console()
    rows = [
        _result(release if not place else "", one)
        for release, seen in found.items()
        for place, one in enumerate(seen[: arguments.last])
    ]
    columns = (
        Column("KERNEL", wrap=False),
        Column("RUN", wrap=False),
        Column("STARTED (UTC)", wrap=False),
        Column("VERDICT", wrap=False),
        Column("PASSED", right=True, wrap=False),
        Column("FAILED", right=True, wrap=False),
        Column("SKIPPED", right=True, wrap=False, dropped_below=90),
        Column("LOST", right=True, wrap=False, dropped_below=100),
        Column("WHY", dropped_below=100),
    )
    print_table(columns, rows, console)
    if arguments.verbose:
        _print_flaky(store, console, releases)


def _result(release: str, one: StoredResult) -> list[str]:
    verdict = "ok" if one.ok else "unknown" if one.unknown else "not ok"
    if not one.good and one.ok:
        verdict = "worse" if one.lost else one.status
    what = ", ".join(filter(None, (one.append, one.suites.replace("\n", " "))))
    limits = f" [{what}]" if what else ""
    return [
        release or '"',
        one.run[:8],
        _minute(one.started),
        verdict,
        str(one.passed),
        str(one.failed),
        str(one.skipped),
        str(one.lost),
        short(f"{one.reason}{limits}".strip(), _SAID),
    ]


def _print_flaky(store: Store, console: Console, releases: Sequence[str]) -> None:
    for release in releases:
        for line in _flaky(store, release):
            _line(console, line)


def _flaky(store: Store, release: str) -> Iterator[str]:
    """A line for each test that is flaky on a kernel."""
    for name in queries.unsteady(store, release):
        record = stability(queries.line(store, name, release=release))
        if record.flakes:
            of = f"{record.flakes} of {record.boots} boots"
            yield f"flaky on {release}: {name}: {_percent(record)} ({of})"


def _minute(time: str) -> str:
    return time[:16].replace("T", " ")


def _line(console: Console, text: str) -> None:
    console.print(clean(text), markup=False, highlight=False, soft_wrap=True)
