"""What is expected of a kernel: the defaults, an expectations file, and ``--expect``.

An expectations file is TOML. Later entries win over earlier ones, ``--expect`` over the
file, and the file over the defaults::

    [[expect]]
    name = "zero_copy.skcipher.*"   # fact or test id; * and ? are wildcards, [ and ] are not
    value = "present"               # a state, a test outcome, or "any"
    reason = "removal not backported to this branch"
    kernels = ">=6.12,<6.12.96"     # optional: upstream versions it is meant for

A name may also be a report of the kernel, of a kind (``console.lockdep``) or a single one
(``console.lockdep.1a2b3c4d``, or ``console.*.1a2b3c4d``: the verdict names it), a taint
(``taint.W``), or a difference of the answers to sequences of calls
(``differential/skcipher.wait.returns-waits``): "any" tolerates it.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path

from harness.errors import InputError
from harness.judge.facts import kind_of
from harness.model import ExpectationEntry, Outcome, RunResult, State

ANY = "any"
#: "unknown" is never what anybody wants to hear, and a crash ends the run of the other tests.
_STATES = (State.PRESENT, State.ABSENT, State.UNREACHABLE, State.WORKS, State.FAILS)
_OUTCOMES = (
    Outcome.PASSED,
    Outcome.FAILED,
    Outcome.ERROR,
    Outcome.SKIPPED,
    Outcome.TIMEOUT,
)
_VALUES: tuple[str, ...] = (*_STATES, *_OUTCOMES, ANY)

_Version = tuple[int, ...]
_OPERATORS: dict[str, Callable[[_Version, _Version], bool]] = {
    ">=": lambda a, b: a >= b,
    "<=": lambda a, b: a <= b,
    "==": lambda a, b: a == b,
    "!=": lambda a, b: a != b,
    ">": lambda a, b: a > b,
    "<": lambda a, b: a < b,
}
_CLAUSE = re.compile(r"(>=|<=|==|!=|>|<)\s*(\d+(?:\.\d+){0,2})$")


def upstream_version(release: str) -> _Version:
    """(6, 12, 43) of ``6.12.43+deb12-amd64``; () if the release does not start with one."""
    match = re.match(r"(\d+)\.(\d+)(?:\.(\d+))?", release)
    return tuple(int(part or 0) for part in match.groups()) if match else ()


@dataclass(frozen=True)
class KernelRange:
    """Upstream versions, as clauses that must all hold.

    Only the components that a clause names are compared: 6.12.43 is ``==6.12`` and
    ``<=6.12``. Release candidates count as the version they lead to.
    """

    clauses: tuple[tuple[str, _Version], ...]

    @classmethod
    def parse(cls, text: str) -> KernelRange:
        """Parse ``">=6.12,<7.2"``. Raises ValueError with the clause that is wrong."""
        clauses = []
        for part in text.split(","):
            match = _CLAUSE.match(part.strip())
            if match is None:
                raise ValueError(f"{part.strip()!r} is not a version clause such as '>=6.12'")
            clauses.append((match.group(1), tuple(map(int, match.group(2).split(".")))))
        return cls(tuple(clauses))

    @property
    def text(self) -> str:
        """As it is parsed."""
        return ",".join(
            operator + ".".join(map(str, version)) for operator, version in self.clauses
        )

    def __contains__(self, release: str) -> bool:
        version = upstream_version(release)
        return bool(version) and all(
            _OPERATORS[operator](version[: len(bound)], bound) for operator, bound in self.clauses
        )


@dataclass(frozen=True)
class Expectation:
    """One expectation of facts or tests whose name matches ``pattern``."""

    pattern: str
    value: str  # a State, an Outcome, or "any"
    reason: str = ""
    kernels: KernelRange | None = None
    source: str = "default"  # "default", "--expect", or the file's name

    @property
    def explicit(self) -> bool:
        """Whether a person asked for it."""
        return self.source != "default"

    def matches(self, name: str, release: str) -> bool:
        """Whether it is about ``name`` on the kernel ``release``."""
        if self.kernels is not None and release not in self.kernels:
            return False
        return _glob(name, self.pattern)


def _glob(name: str, pattern: str) -> bool:
    # Test ids hold brackets: test_hash[sha256] is a name, not a set of characters.
    return fnmatchcase(name, pattern.replace("[", "[[]"))


#: What is expected of everything but facts; of these the registry says it.
DEFAULTS = (
    Expectation("console.*", State.ABSENT),
    Expectation("taint.*", State.ABSENT),
)


@dataclass(frozen=True)
class Expectations:
    """All expectations of a run, in rising order of precedence."""

    rules: tuple[Expectation, ...] = DEFAULTS

    def of_fact(self, name: str, release: str) -> Expectation | None:
        """What is expected of a fact, of ``console.KIND`` or of ``taint.LETTER``, if anything."""
        rule = self._last(release, (*_STATES, ANY), name)
        expected = kind_of(name).expected
        return Expectation(name, expected) if rule is None and expected is not None else rule

    def of_report(self, kind: str, mark: str, release: str) -> Expectation | None:
        """What is expected of a report on the console, ``console.KIND[.FINGERPRINT]``."""
        names = (f"console.{kind}", f"console.{kind}.{mark}")
        return self._last(release, (*_STATES, ANY), *names)

    def of_change(self, change: str, release: str) -> Expectation | None:
        """What was explicitly said of a change: ``any`` allows it."""
        return self._last(release, (ANY,), change)

    def of_test(self, test: str, release: str) -> Expectation | None:
        """What was explicitly expected of a test; None: that it passes, or skips with a reason."""
        return self._last(release, (*_OUTCOMES, ANY), test)

    def _last(self, release: str, values: Sequence[str], *names: str) -> Expectation | None:
        """The last rule with one of ``values`` that is about any of ``names``."""
        for rule in reversed(self.rules):
            if rule.value in values and any(rule.matches(name, release) for name in names):
                return rule
        return None

    def entries(self) -> tuple[ExpectationEntry, ...]:
        """What a person asked for, as ``results.json`` holds it."""
        return tuple(
            ExpectationEntry(
                rule.pattern,
                rule.value,
                rule.reason,
                rule.kernels.text if rule.kernels is not None else "",
                rule.source,
            )
            for rule in self.rules
            if rule.explicit
        )


def run_expectations(run: RunResult) -> Expectations:
    """What a stored run was judged by, so that it can be judged again."""
    return Expectations((*DEFAULTS, *map(_restored, run.expectations or _from_checks(run))))


def _from_checks(run: RunResult) -> Iterator[ExpectationEntry]:
    """Of a run that does not hold its expectations, those that left a check."""
    checks = (check for kernel in run.kernels for check in kernel.verdict.checks)
    for check in dict.fromkeys(check for check in checks if check.explicit):
        yield ExpectationEntry(check.id, check.expected, check.explanation, source="stored run")


def _restored(entry: ExpectationEntry) -> Expectation:
    try:
        kernels = KernelRange.parse(entry.kernels) if entry.kernels else None
    except ValueError as error:
        raise InputError(f"stored expectation of {entry.name}: {error}") from error
    return Expectation(entry.name, entry.value, entry.reason, kernels, entry.source)


def load_expectations(file: Path | None, overrides: Sequence[str]) -> Expectations:
    """The defaults, then the entries of ``file``, then ``NAME=VALUE`` of ``--expect``.

    Raises InputError, naming file and entry, for whatever is malformed.
    """
    entries = _load_file(file) if file is not None else ()
    return Expectations((*DEFAULTS, *entries, *map(_override, overrides)))


def _override(text: str) -> Expectation:
    # A test id may hold "=" in its parameters, a value never does.
    name, separator, value = text.rpartition("=")
    if not separator or not name.strip():
        raise InputError(f"--expect {text!r}: must be NAME=VALUE")
    return Expectation(name.strip(), _value(value.strip(), f"--expect {text!r}"), source="--expect")


def _value(value: object, where: str) -> str:
    if value not in _VALUES:
        hint = f"must be one of {', '.join(_VALUES)}"
        raise InputError(f"{where}: {value!r} cannot be expected: {hint}")
    return str(value)


def _load_file(file: Path) -> tuple[Expectation, ...]:
    try:
        data = tomllib.loads(file.read_text(encoding="utf-8"))
    except OSError as error:
        raise InputError(f"{file}: {error.strerror or error}") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise InputError(f"{file}: not TOML: {error}") from error
    entries = data.pop("expect", [])
    if data:
        raise InputError(f"{file}: unknown key {next(iter(data))!r}; entries are [[expect]]")
    if not isinstance(entries, list):
        raise InputError(f"{file}: 'expect' must be an array of tables, [[expect]]")
    return tuple(_entry(entry, file, number) for number, entry in enumerate(entries, 1))


def _entry(entry: object, file: Path, number: int) -> Expectation:
    where = f"{file}: [[expect]] number {number}"
    if not isinstance(entry, dict):
        raise InputError(f"{where}: must be a table")
    for key in ("name", "value", "reason"):
        if not isinstance(entry.get(key), str) or not entry[key].strip():
            raise InputError(f"{where}: {key!r} is missing or not a text")
    unknown = entry.keys() - {"name", "value", "reason", "kernels"}
    if unknown:
        raise InputError(f"{where}: unknown key {min(unknown)!r}")
    kernels = None
    if "kernels" in entry:
        try:
            kernels = KernelRange.parse(str(entry["kernels"]))
        except ValueError as error:
            raise InputError(f"{where}: kernels: {error}") from error
    return Expectation(
        pattern=entry["name"].strip(),
        value=_value(entry["value"], where),
        reason=entry["reason"].strip(),
        kernels=kernels,
        source=str(file),
    )
