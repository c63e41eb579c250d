"""What a second guest takes off the first one of a kernel."""

from __future__ import annotations

import json
import tarfile
from collections.abc import Mapping
from pathlib import Path

import pytest

from harness.guest.patience import known_times
from harness.guest.payload import Selection, whole_files, write_part, write_payload
from harness.judge.facts import in_first_answer
from harness.locations import suite_dir
from harness.sharing import _BOOT, asked_beside, files_beside
from harness.suites import suite_names

_OURS = tuple(sorted(str(path.relative_to(suite_dir())) for path in suite_dir().rglob("test_*.py")))
_LAST = "zero_copy/test_handovers.py"


def test_two_guests_are_through_at_the_same_time() -> None:
    times = known_times().files
    theirs = files_beside(_OURS, times)
    whole, second = (sum(times[file] for file in files) for files in (times, theirs))
    assert abs(second + _BOOT - (whole - second)) < whole / 20
    assert second > 20.0, "else a second boot does not pay"
    assert set(theirs) < set(_OURS)
    assert not any(in_first_answer(f"{file}::") for file in theirs)
    assert "security/test_page_cache_write.py" not in theirs


def test_each_guest_says_what_its_tests_handed_over() -> None:
    theirs = files_beside(_OURS, known_times().files)
    assert _LAST not in theirs, "it is not left to the other alone"
    assert asked_beside(_OURS, theirs) == (*theirs, _LAST)
    assert asked_beside(theirs, theirs) == theirs, "if it was selected"


@pytest.mark.parametrize("suite", ["zero_copy", "policy", "functional"])
def test_little_is_not_split(suite: str) -> None:
    files = [file for file in _OURS if file.startswith(f"{suite}/")]
    assert files_beside(files, known_times().files) == ()


@pytest.mark.parametrize(
    ("times", "theirs"),
    [
        ({"a": 60.0, "b": 40.0, "c": 20.0}, ("b",)),
        ({"a": 60.0, "b": 40.0, "c": 35.0}, ("b",)),
        ({"a": 40.0, "b": 30.0}, ("b",)),
        ({"a": 40.0}, ()),
        ({"a": 50.0, "b": 30.0, "zero_copy/test_input.py": 50.0}, ("a",)),
    ],
)
def test_the_longest_first_each_to_whom_has_less(
    times: Mapping[str, float], theirs: tuple[str, ...]
) -> None:
    files = ("new", *times)
    assert files_beside(files, times) == theirs, "what is not known stays with the first"


def _settings(path: Path) -> dict[str, object]:
    """As the guest's tar leaves them: of two members of a name the later one."""
    with tarfile.open(path) as archive:
        members = [member for member in archive if member.name == "settings.json"]
        content = archive.extractfile(members[-1])
        assert content is not None
        settings: dict[str, object] = json.loads(content.read())
    return settings


def test_two_guests_have_the_whole_between_them(tmp_path: Path) -> None:
    whole, first, second = (tmp_path / name for name in ("whole", "first", "second"))
    write_payload(Selection(), whole)
    files = whole_files(whole)
    assert {file.partition("/")[0] for file in files} == set(suite_names())
    assert all((suite_dir() / file).is_file() for file in files)
    theirs = files[::2]
    write_part(whole, (), theirs, first)
    write_part(whole, theirs, (), second)
    before, mine, other = map(_settings, (whole, first, second))
    assert mine == {**before, "left": list(theirs)}
    assert other == {**before, "names": list(theirs)}, "all of these files, and no other is read"


@pytest.mark.parametrize(
    ("selection", "files"),
    [
        (Selection(arguments=("-k", "hash")), 0),
        (Selection(("functional/test_hash.py::test_known_answer",)), 0),
        (Selection(("policy", "functional/test_hash.py")), 3),
    ],
)
def test_what_is_not_selected_whole_is_not_given_away(
    tmp_path: Path, selection: Selection, files: int
) -> None:
    write_payload(selection, tmp_path / "payload")
    assert len(whole_files(tmp_path / "payload")) == files
