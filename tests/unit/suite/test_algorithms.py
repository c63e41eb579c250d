"""The sweep over all algorithms: what it makes of what it saw."""

from __future__ import annotations

import errno
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from harness.judge.facts import NAMES
from harness.model import Cause, Reason
from tests.unit.guest.test_oracle import suite_module


@pytest.fixture(scope="module")
def algorithms() -> ModuleType:
    for name in ("unavailable", "af_alg", "libc", "pages", "probing", "vectors", "shape_probe"):
        suite_module(name)
    return suite_module("zero_copy/test_algorithms")


def recorded(algorithms: ModuleType, *states: str, cause: Cause = Cause.OTHER) -> dict[str, Any]:
    told: dict[str, Any] = {}
    seen = {
        f"a{number}": algorithms.Seen(state, "why", Reason(cause))
        for number, state in enumerate(states)
    }

    def record(name: str, **fact: Any) -> None:
        assert name in NAMES
        told.update(fact)

    algorithms.record("skcipher", seen, record)
    return told


@pytest.mark.parametrize(
    ("states", "state", "words"),
    [
        (("absent", "absent"), "absent", "shared with 0 of 2 more algorithms"),
        (("present", "present"), "present", "shared with 2 of 2 more algorithms"),
        (("absent", "present", "absent"), "present", "1 of 3 more algorithms (only a1)"),
        (("present", "absent", "present"), "present", "2 of 3 more algorithms (not a1)"),
        (("absent", "unreachable"), "absent", "0 of 1 more"),
        (("absent", "unknown"), "absent", "1 not told: a1 (why)"),
    ],
)
def test_what_is_recorded(
    algorithms: ModuleType, states: tuple[str, ...], state: str, words: str
) -> None:
    fact = recorded(algorithms, *states)
    assert (fact["state"], fact["control"]) == (state, "fired")
    assert words in fact["evidence"]


def test_what_the_guest_lacked_leaves_the_path_unknown(algorithms: ModuleType) -> None:
    fact = recorded(algorithms, "absent", "unknown", cause=Cause.HOST)
    assert (fact["state"], fact["reason"]) == ("unknown", Reason(Cause.HOST))


def test_nothing_is_recorded_of_nothing(algorithms: ModuleType) -> None:
    assert recorded(algorithms, "unreachable", "unknown") == {}


def test_a_result_of_neither_page_fails(algorithms: ModuleType) -> None:
    with pytest.raises(AssertionError, match="a: first difference"):
        algorithms.judge({"a": algorithms.Seen("corrupt", "first difference")})


def test_what_is_not_there_is_not_asked_for_again(
    algorithms: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(algorithms.af_alg, "Transform", None)
    sweep = algorithms.Sweep({("skcipher", "lrw(aes)")}, sharing=None)
    assert sweep.of("skcipher", ["lrw(aes)"])["lrw(aes)"].state == "unreachable"


def test_what_fails_otherwise_is_unknown(
    algorithms: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_arguments: object) -> None:
        raise OSError(errno.EMFILE, "Too many open files")

    monkeypatch.setattr(algorithms.af_alg, "Transform", fail)
    seen = algorithms.Sweep(set(), sharing=None).of("skcipher", ["lrw(aes)"])["lrw(aes)"]
    assert (seen.state, seen.reason.cause) == ("unknown", Cause.HOST)


def test_what_the_kernel_lists(algorithms: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    entries = [
        ("cbc(aes)", "no", "skcipher"),
        ("cbc(aria)", "no", "skcipher"),
        ("cbc(aria)", "no", "skcipher"),
        ("__cbc(aria)", "yes", "skcipher"),
        ("ctr(aria)", "yes", "skcipher"),
        ("gcm(aria)", "no", "aead"),
        ("pcrypt(x)", "no", "skcipher"),
    ]
    text = "\n\n".join(
        f"name         : {name}\ninternal     : {internal}\ntype         : {kind}"
        for name, internal, kind in entries
    )
    monkeypatch.setattr(Path, "read_text", lambda _path: text)
    assert algorithms.listed("skcipher") == ["cbc(aria)"]


def test_the_table_names_each_algorithm_once(algorithms: ModuleType) -> None:
    for names in algorithms._TABLE.values():
        assert len(names) == len(set(names)) > 20
