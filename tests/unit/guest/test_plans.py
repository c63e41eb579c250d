"""Plans that guests have told: kept by what they are of, and given to the guests to come."""

from __future__ import annotations

import json
import os
import tarfile
from pathlib import Path
from typing import Any

import pytest

from harness.guest.payload import Selection, plan_key, write_part, write_payload
from harness.guest.plans import add_known_plan, forget_plan, keep_plan
from harness.guest.vng import Root
from harness.judge.facts import in_first_answer

_FIRST = "zero_copy/test_input.py::test_aead[tee]"
_PLAN = (_FIRST, "policy/test_level.py::test_socket")


@pytest.fixture
def root(tmp_path: Path) -> Root:
    (tmp_path / "image").mkdir()
    return Root("disk", tmp_path / "image/root.ext4", isolated=True)


def _payload(path: Path, *suites: str, arguments: tuple[str, ...] = ()) -> Path:
    write_payload(Selection(suites, arguments), path)
    return path


def _settings(payload: Path) -> dict[str, Any]:
    """As the guest's tar leaves them: of two members of a name the later one."""
    with tarfile.open(payload) as archive:
        member = [one for one in archive if one.name == "settings.json"][-1]
        content = archive.extractfile(member)
        assert content is not None
        settings: dict[str, Any] = json.loads(content.read())
    return settings


def _known(payload: Path, root: Root) -> tuple[list[str], list[str]]:
    add_known_plan(payload, root, in_first_answer)
    settings = _settings(payload)
    return settings["plan"], settings["first"]


def test_a_plan_is_given_to_the_next_guest(tmp_path: Path, root: Root) -> None:
    payload = _payload(tmp_path / "first.tar", "zero_copy", "policy")
    assert _known(payload, root) == ([], [])
    keep_plan(payload, root, _PLAN)
    again = _payload(tmp_path / "second.tar", "zero_copy", "policy")
    assert _known(again, root) == ([*_PLAN], ["zero_copy/test_input.py"])
    assert plan_key(again) == plan_key(payload), "with a plan in it, too"
    other = _payload(tmp_path / "other.tar", "zero_copy")
    assert _known(other, root) == ([], [])
    forget_plan(again, root)
    assert _known(_payload(tmp_path / "third.tar", "zero_copy", "policy"), root) == ([], [])


def test_a_part_of_the_tests_has_no_plan(tmp_path: Path, root: Root) -> None:
    payload = _payload(tmp_path / "payload.tar", "zero_copy", "policy")
    keep_plan(payload, root, _PLAN)
    add_known_plan(payload, root, in_first_answer)
    write_part(payload, _PLAN[:1], (), tmp_path / "some.tar")
    assert _settings(tmp_path / "some.tar")["plan"] == []
    write_part(payload, (), ("policy/test_level.py",), tmp_path / "left.tar")
    assert _settings(tmp_path / "left.tar")["plan"] == [*_PLAN]


@pytest.mark.parametrize(
    ("suites", "arguments"),
    [
        ((_FIRST,), ()),
        (("zero_copy",), ("-k", "aead")),
        (("own",), ()),
        (("zero_copy", "own"), ()),
    ],
)
def test_what_may_depend_on_the_kernel_is_planned_by_each_guest(
    tmp_path: Path,
    root: Root,
    suites: tuple[str, ...],
    arguments: tuple[str, ...],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    (tmp_path / "own").mkdir()
    (tmp_path / "own/test_it.py").write_text("def test_it(): pass\n")
    monkeypatch.chdir(tmp_path)
    payload = _payload(tmp_path / "payload.tar", *suites, arguments=arguments)
    keep_plan(payload, root, _PLAN)
    assert _known(payload, root) == ([], [])


def test_another_root_has_another_pytest(tmp_path: Path) -> None:
    payload = _payload(tmp_path / "payload.tar", "zero_copy")
    host = Root("directory", Path("/"))
    keep_plan(payload, host, _PLAN)
    assert _known(payload, host) == ([], [])


@pytest.mark.parametrize("text", ["", "{}", "[1]", "[" * 100_000, "\udcff"])
def test_a_file_that_is_none_is_passed_over(tmp_path: Path, root: Root, text: str) -> None:
    payload = _payload(tmp_path / "payload.tar", "zero_copy")
    keep_plan(payload, root, _PLAN)
    (file,) = (root.path.parent / "plans").iterdir()
    file.write_text(text, errors="surrogateescape")
    assert _known(payload, root) == ([], [])


def test_few_are_kept(tmp_path: Path, root: Root) -> None:
    names = ("zero_copy", "functional", "policy", "security", "differential", "consumers")
    chosen = [(one, other) for one in names[:2] for other in names if one != other]
    for number, suites in enumerate(chosen):
        payload = _payload(tmp_path / "payload.tar", *suites)
        keep_plan(payload, root, (*_PLAN, str(number)))
        for file in (root.path.parent / "plans").iterdir():
            if str(number) in file.read_text():
                os.utime(file, (number, number))
    kept = [json.loads(file.read_text())[-1] for file in (root.path.parent / "plans").iterdir()]
    assert sorted(kept, key=int) == [str(number) for number in range(2, 10)]
