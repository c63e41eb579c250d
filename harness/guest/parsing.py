"""Lines from a guest -> records, none of them trusted to be one."""

from __future__ import annotations

import json
from dataclasses import dataclass

from harness.guest.inside import records
from harness.strict import MALFORMED, problem, strict_converter

#: Characters of a record. The largest of our own suites' have 80,000, most 500.
RECORD_LIMIT = 1 << 20
_LARGEST = 1 << 63  # of the numbers in a record


@dataclass(frozen=True)
class Sent:
    """A record of the guest, as it was numbered there."""

    seq: int
    uptime: float
    record: records.Record


@dataclass(frozen=True)
class Refused:
    """A line that is no record. Its number is None if that, too, cannot be read."""

    problem: str
    seq: int | None = None
    times: int = 1  # for how many lines this stands


def parse_line(text: str, left_out: int = 0) -> tuple[dict[str, object] | None, Sent | Refused]:
    """What a line of the guest's says, and as which data to keep it (None: as it is).

    ``left_out``: so many more characters it had than a record may have.
    """
    if left_out:
        return None, Refused(f"a record of {len(text) + left_out} characters: {text[:80]!r}...")
    data = load_object(text)
    if data is None:
        return None, Refused(f"a record was cut short: {text[:80]!r}")
    said = parse_object(data)
    return (data if isinstance(said, Sent) else None), said


def load_object(text: str) -> dict[str, object] | None:
    """A JSON object; None for anything else, however deep or odd."""
    try:
        data = json.loads(text, parse_constant=_refuse_constant)
    except (ValueError, RecursionError):
        return None
    return data if isinstance(data, dict) else None


def _refuse_constant(word: str) -> object:
    raise ValueError(f"{word} is not JSON")


def parse_object(data: dict[str, object]) -> Sent | Refused:
    """What an object that a guest sent says."""
    try:
        return _structure_or_refuse(data)
    except RecursionError:
        return Refused("a record is nested too deeply")


def _structure_or_refuse(data: dict[str, object]) -> Sent | Refused:
    try:
        return _structure(data)
    except MALFORMED as error:
        seq, kind = data.get("seq"), data.get("type")
        number = seq if type(seq) is int and 0 <= seq < _LARGEST else None
        name = kind[:40] if isinstance(kind, str) else "nameless"
        return Refused(f"malformed {name} record: {problem(error):.200}", number)


def _structure(data: dict[str, object]) -> Sent:
    seq, kind = CONVERTER.structure(data["seq"], int), data["type"]
    if seq < 0:
        raise ValueError(f"{seq} is no number of a record")
    if not isinstance(kind, str) or kind not in records.TYPES:
        raise ValueError("no such type")
    uptime = CONVERTER.structure(data.get("uptime", 0.0), float)
    return Sent(seq, uptime, CONVERTER.structure(data, records.TYPES[kind]))


def _clean_text(value: object, kind: type[str]) -> str:
    """A text, or one of the words that are texts, of which every character can be written."""
    if not isinstance(value, str):
        raise ValueError(f"expected a text, found {value!r:.40}")
    return kind(value.encode("utf-8", "backslashreplace").decode())


def _small_integer(value: object, _: type[int]) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or abs(value) >= _LARGEST:
        raise ValueError(f"expected a whole number, found {value!r:.40}")
    return value


CONVERTER = strict_converter()
CONVERTER.register_structure_hook(str, _clean_text)
CONVERTER.register_structure_hook(int, _small_integer)
