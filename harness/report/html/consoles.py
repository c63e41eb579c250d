"""console.log -> what the kernel wrote while each test ran."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path

from harness.guest.inside.records import start_marker

_FILE = "console.log"
_OURS = b"afalg-harness: "
_START = start_marker("").encode()
_HEAD = 60  # lines kept of what came with a test, and as many of its end
_LONGEST = 500  # characters of a line


def excerpts(run_dir: Path, directory: str, tests: Iterable[str]) -> Mapping[str, str] | None:
    """Test id -> the console from its marker to the next one, where more than markers is there.

    ``directory`` is the kernel's below ``run_dir``. None if there is no console.log.
    """
    path = Path(run_dir, directory, _FILE)
    names = {start_marker(test): test for test in tests}
    try:
        below = directory and path.resolve().is_relative_to(run_dir.resolve())
        if not below or not path.is_file():
            return None
        with path.open("rb") as file:
            found: dict[str, str] = {}
            for test, lines in _between_markers(file, names):
                found[test] = f"{found[test]}\n{lines}" if test in found else lines
            return found
    except (OSError, ValueError):  # ValueError: a NUL in the name
        return None


def _between_markers(file: Iterable[bytes], names: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    """Each test that began, with its excerpt; a test that nothing came with is left out."""
    test = ""
    lines: list[str] = []
    left_out = first = 0
    for number, raw in enumerate(file, 1):
        line = _text(raw)
        if _OURS not in raw:
            lines.append(line)
            if len(lines) > 2 * _HEAD + 1:
                del lines[_HEAD]
                left_out += 1
            continue
        if test and len(lines) > 1:
            yield test, _told([*lines, line], left_out, first)
        test = names.get(_marker(raw), "")
        lines, left_out, first = [line], 0, number
    if test and len(lines) > 1:
        yield test, _told(lines, left_out, first)


def _told(lines: Sequence[str], left_out: int, first: int) -> str:
    head, tail = list(lines), []
    if left_out:
        head, tail = list(lines[:_HEAD]), list(lines[_HEAD:])
        tail.insert(0, f"[{left_out:,} lines left out here]")
    return "\n".join([f"[{_FILE}, from line {first:,}]", *head, *tail])


def _marker(raw: bytes) -> str:
    """The marker of a test's start on a line of the console; "" if it has none."""
    at = raw.find(_START)
    return raw[at:].decode(errors="replace").rstrip() if at >= 0 else ""


def _text(raw: bytes) -> str:
    raw = raw.rstrip(b"\r\n")
    line = raw[: 4 * _LONGEST].decode(errors="replace")[:_LONGEST]
    left = len(raw) - len(line.encode())
    return f"{line} [{left:,} bytes cut here]" if left > 0 else line
