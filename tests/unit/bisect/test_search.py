"""Searches with a tester that only says what it was told: order, state, resuming, git."""

from __future__ import annotations

import errno
import json
import subprocess
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from harness.bisect import code_words
from harness.bisect import search as search_module
from harness.bisect.check import BisectCheck
from harness.bisect.code_words import CodeWords
from harness.bisect.ends import Ends, Question
from harness.bisect.git_search import search_git
from harness.bisect.scout import Scout
from harness.bisect.search import search
from harness.bisect.state import Asked, BisectState, Step
from harness.bisect.strategy import Answer, Found
from harness.errors import InfrastructureError, InputError, Interrupted
from harness.judge.facts import way_of
from harness.kernels.cache.kernel_store import KernelStore, Manifest
from harness.kernels.sources import KernelSources
from harness.model import CodeFinding, CodeWord

ASKED = Asked("software_only", "", ("a", "f"), ())
SPECS = ("a", "b", "c", "d", "e", "f")


@dataclass
class FakeTester:
    """Answers from a table; "" skips, an exception is raised."""

    values: Mapping[str, str | Exception]
    tested: list[str] = field(default_factory=list)
    seen_by: list[str] = field(default_factory=list)
    stop: threading.Event = field(default_factory=threading.Event)
    at_once: int = 1
    #: If it is given, a test waits in it for the others that are tested at once.
    together: threading.Barrier | None = None

    def test(self, spec: str, state: BisectState, test: str = "") -> Step:
        self.tested.append(spec)
        self.seen_by.append(test)
        if self.together is not None:
            self.together.wait(60)
        value = self.values[spec.rpartition("@")[2]]
        if isinstance(value, Exception):
            raise value
        return Step(spec, value, "" if value else "does not boot", test="t", runs=("r",))


@pytest.fixture(autouse=True)
def _nothing_is_fetched(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    fetched: list[str] = []
    monkeypatch.setattr(
        search_module, "fetch_ahead", lambda _tester, spec, _stop: fetched.append(spec)
    )
    return fetched


def run(values: Mapping[str, str | Exception], out: Path, find: str = "", **options: Any) -> Any:
    tester = FakeTester(values)
    state = BisectState(out, ASKED, fresh=options.pop("fresh", False))
    try:
        outcome = search(SPECS, ask(find), tester, state, lambda _: None)  # type: ignore[arg-type]
    finally:
        state.close()
    return outcome, tester


def test_several_kernels_are_tested_beside_each_other(tmp_path: Path) -> None:
    """Each waits until the other is there: the ends, then the two that part the rest."""
    tester = FakeTester(values("pppaaa"), at_once=2, together=threading.Barrier(2))
    state = BisectState(tmp_path, ASKED, fresh=False)
    told: list[str] = []
    try:
        outcome = search(SPECS, ask(), tester, state, told.append)  # type: ignore[arg-type]
    finally:
        state.close()
    assert outcome.found == Found(2, 3)
    assert [set(tester.tested[:2]), set(tester.tested[2:])] == [{"a", "f"}, {"c", "d"}]
    assert "between a and f: 4 left, 2 steps to go, some 0.0 minutes" in told
    assert set(BisectState(tmp_path, ASKED, fresh=False).steps) == {"a", "c", "d", "f"}


def test_what_fails_beside_others_ends_them(tmp_path: Path) -> None:
    broken = InfrastructureError("the network is gone")
    tester = FakeTester({**values("pppaaa"), "c": broken}, at_once=2)
    state = BisectState(tmp_path, ASKED, fresh=False)
    try:
        with pytest.raises(InfrastructureError, match="network"):
            search(SPECS, ask(), tester, state, lambda _: None)  # type: ignore[arg-type]
    finally:
        state.close()
    assert tester.stop.is_set()


def ask(find: str = "", names: tuple[str, str] = ("old", "new")) -> Question:
    return Question(BisectCheck("fact", "software_only"), names, ("a", "f"), find)


def values(text: str) -> dict[str, str | Exception]:
    return {spec: "" if char == "-" else char for spec, char in zip(SPECS, text, strict=True)}


def test_ends_first_then_halves(tmp_path: Path) -> None:
    outcome, tester = run(values("pppaaa"), tmp_path)
    assert tester.tested[:2] == ["a", "f"]
    assert outcome.found == Found(2, 3)
    assert len(tester.tested) <= 5
    # The first result says which test is enough for the others.
    assert tester.seen_by[0] == "" and set(tester.seen_by[1:]) == {"t"}


def test_what_may_be_next_is_fetched(tmp_path: Path, _nothing_is_fetched: list[str]) -> None:
    run(values("pppaaa"), tmp_path)
    assert {"f", "d"} <= set(_nothing_is_fetched)


@pytest.mark.parametrize("text", ["pppppp", "-ppppa", "pppaa-"])
def test_ends_that_do_not_differ(text: str, tmp_path: Path) -> None:
    outcome, tester = run(values(text), tmp_path)
    assert outcome.found is None
    assert tester.tested == ["a", "f"]


PATH = "zero_copy.skcipher.splice_file"


@dataclass(frozen=True)
class FakeWords(CodeWords):
    """Says of each kernel what a text says: p(resent), a(bsent), - nothing."""

    text: str = "------"

    def can_be_read(self, spec: str) -> bool:
        return False

    def value(self, spec: str) -> str:
        return {"p": "present", "a": "absent", "-": ""}[self.text[SPECS.index(spec)]]


def fake_words(text: str, check: str = PATH) -> FakeWords:
    return FakeWords(BisectCheck("fact", check), KernelSources(cache=Path("/nowhere")), text)


@pytest.mark.parametrize(
    ("truth", "words", "tested"),
    [
        ("ppppaa", "ppppaa", ["e", "d"]),
        ("ppppaa", "------", ["c", "d", "e"]),
        ("ppppaa", "p-ppaa", ["e", "d"]),
        ("ppppaa", "paaaaa", ["b", "d", "e"]),  # refuted at once
        ("ppppaa", "aaaaaa", ["c", "d", "e"]),  # at the old end already
    ],
)
def test_the_code_says_where_to_look_first(
    truth: str, words: str, tested: list[str], tmp_path: Path
) -> None:
    names = {"p": "present", "a": "absent"}
    tester = FakeTester({spec: names[char] for spec, char in zip(SPECS, truth, strict=True)})
    state = BisectState(tmp_path, ASKED, fresh=False)
    told: list[str] = []
    try:
        outcome = search(
            SPECS,
            ask(),
            tester,  # type: ignore[arg-type]
            state,
            told.append,
            fake_words(words),
        )
    finally:
        state.close()
    assert outcome.found == Found(3, 4)
    assert tester.tested == ["a", "f", *tested]
    assert any("kernels' code" in line for line in told) == (tested[0] != "c")


@dataclass(frozen=True)
class ColdWords(CodeWords):
    """Says of each kernel that was fetched what a text says; kernels are numbers."""

    text: str = ""
    fetched: list[str] = field(default_factory=list)

    def can_be_read(self, spec: str) -> bool:
        return True

    def value(self, spec: str) -> str:
        said = {"p": "present", "a": "absent", "-": ""}
        return said[self.text[int(spec)]] if spec in self.fetched else ""


def bisect_cold(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, truth: str, text: str
) -> tuple[Any, FakeTester, list[str]]:
    """A bisect of kernels of which none is in the cache, and what was fetched for it."""
    names = {"p": "present", "a": "absent"}
    specs = [str(number) for number in range(len(truth))]
    tester = FakeTester(dict(zip(specs, map(names.__getitem__, truth), strict=True)))
    words = ColdWords(
        BisectCheck("fact", PATH), KernelSources(cache=Path("/nowhere")), text, fetched := []
    )
    monkeypatch.setattr(search_module, "fetch_ahead", lambda _, spec, __: fetched.append(spec))
    state = BisectState(tmp_path, ASKED, fresh=False)
    try:
        outcome = search(specs, ask(), tester, state, lambda _: None, words)  # type: ignore[arg-type]
    finally:
        state.close()
    return outcome, tester, fetched


def test_eighty_kernels_in_four_boots(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """The scout fetches no more than halving would: their code says where it changes."""
    truth = "p" * 23 + "a" * 57
    outcome, tester, fetched = bisect_cold(monkeypatch, tmp_path, truth, truth)
    assert outcome.found == Found(22, 23)
    assert tester.tested == ["0", "79", "23", "22"]
    assert len(set(fetched)) <= 2 + 7 + 2, "two for the case that the code was wrong"


@pytest.mark.parametrize("said", ["a" * 80, "-" * 80, "p" * 79 + "-", "p" * 60 + "a" * 20])
def test_code_that_is_silent_or_wrong_costs_little(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, said: str
) -> None:
    truth = "p" * 23 + "a" * 57
    outcome, tester, _ = bisect_cold(monkeypatch, tmp_path, truth, said)
    assert outcome.found == Found(22, 23)
    assert len(tester.tested) <= 2 + 7 + 2


def test_a_kernel_that_cannot_be_had_is_passed_by(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    truth = "p" * 23 + "a" * 57
    said = "".join("-" if number in (39, 20, 24) else char for number, char in enumerate(truth))
    outcome, tester, _ = bisect_cold(monkeypatch, tmp_path, truth, said)
    assert outcome.found == Found(22, 23)
    assert len(tester.tested) <= 5


def test_a_scout_stops_with_the_search() -> None:
    stop, fetched = threading.Event(), list[str]()

    def fetch(spec: str) -> None:
        fetched.append(spec)
        stop.set()

    scout = Scout([str(number) for number in range(80)], fetch, lambda _: "present", stop)
    scout.go()
    assert fetched == ["0"]
    scout.wait(threading.Event())


def test_nobody_waits_for_a_scout_of_a_search_that_was_stopped() -> None:
    stop = threading.Event()
    stop.set()
    with pytest.raises(Interrupted):
        Scout(["0", "1"], lambda _: None, lambda _: "", threading.Event()).wait(stop)


def test_words_that_tell_nothing_of_the_check() -> None:
    words = fake_words("ppppaa")
    assert words.tell(Ends("present", "absent")) and words.tell(Ends("absent", "present", "absent"))
    assert not words.tell(Ends("present", "unreachable"))
    assert not words.tell(Ends("unreachable", "present", "unreachable"))
    assert not fake_words("ppppaa", "page_cache_write").tell(Ends("present", "absent"))


def test_words_of_kernels_at_hand(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = KernelStore(tmp_path)

    def fill(_: Path) -> Manifest:
        return Manifest("6.1-amd64")

    store.create("key", "debian:6.1-amd64", fill, lambda: None)
    store.remember("6.1-amd64", "6.1-1", "key")
    said = {"zero_copy.skcipher.recv": CodeWord.CAN, PATH: CodeWord.CANNOT}
    monkeypatch.setattr(
        code_words,
        "read_code",
        lambda _: tuple(CodeFinding(way_of(name), word) for name, word in said.items()),
    )
    sources = KernelSources(cache=tmp_path)
    for name, value in {PATH: "absent", "zero_copy.skcipher.recv": "present"}.items():
        words = CodeWords(BisectCheck("fact", name), sources)
        assert words.value("debian:6.1-amd64") == value
        assert words.value("debian:6.2-amd64") == words.value("debian:trixie") == ""
    said[PATH] = CodeWord.SILENT
    assert CodeWords(BisectCheck("fact", PATH), sources).value("debian:6.1-amd64") == ""


def test_skipped_kernels_leave_a_range(tmp_path: Path) -> None:
    outcome, _ = run(values("pp--aa"), tmp_path)
    assert outcome.found == Found(1, 4, (2, 3))


def test_a_third_value_is_skipped(tmp_path: Path) -> None:
    outcome, _ = run(values("ppxaaa"), tmp_path)
    assert outcome.found == Found(1, 3, (2,))


def test_find_takes_every_other_value_for_old(tmp_path: Path) -> None:
    outcome, _ = run(values("pxxxaa"), tmp_path, find="a")
    assert outcome.found == Found(3, 4)


def test_find_where_the_value_ends(tmp_path: Path) -> None:
    assert Ends("a", "x", "a").answer("y") is Answer.NEW
    assert not Ends("x", "y", "a").differ()
    outcome, _ = run(values("aapxxx"), tmp_path, find="a")
    assert outcome.found == Found(1, 2)


@pytest.mark.parametrize("error", [Interrupted("x"), InfrastructureError("no network")])
def test_an_interrupted_bisect_goes_on(error: Exception, tmp_path: Path) -> None:
    table = values("pppaaa")
    with pytest.raises(type(error)):
        run({**table, "d": error}, tmp_path)
    outcome, tester = run(table, tmp_path)
    assert outcome.found == Found(2, 3)
    assert not {"a", "f"} & set(tester.tested), "what was known is not tested again"
    _, again = run(table, tmp_path)
    assert again.tested == []
    _, fresh = run(table, tmp_path, fresh=True)
    assert fresh.tested[:2] == ["a", "f"]


def test_another_question_in_the_same_place(tmp_path: Path) -> None:
    run(values("pppaaa"), tmp_path)
    with pytest.raises(InputError, match="another bisect"):
        BisectState(tmp_path, Asked("page_cache_write", "", ("a", "f"), ()), fresh=False)


@pytest.mark.parametrize(
    "content", ["{", "[]", "{}", "null", '{"asked": {}, "steps": [1]}', '{"asked": {}, "steps": 1}']
)
def test_damaged_state(content: str, tmp_path: Path) -> None:
    (tmp_path / "bisect.json").write_text(content)
    with pytest.raises(InputError, match="--fresh"):
        BisectState(tmp_path, ASKED, fresh=False)
    BisectState(tmp_path, ASKED, fresh=True).close()


def test_a_place_that_cannot_be_read(tmp_path: Path) -> None:
    (tmp_path / "bisect.json").mkdir()
    for fresh in (False, True):
        with pytest.raises(InputError, match=str(tmp_path)):
            BisectState(tmp_path, ASKED, fresh=fresh)


def test_one_at_a_time(tmp_path: Path) -> None:
    state = BisectState(tmp_path, ASKED, fresh=False)
    with pytest.raises(InputError, match="at work there"):
        BisectState(tmp_path, ASKED, fresh=False)
    state.close()
    BisectState(tmp_path, ASKED, fresh=False).close()


def test_full_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    state = BisectState(tmp_path, ASKED, fresh=False)
    state.record(Step("a", "p"))

    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(InfrastructureError, match="no space left"):
        state.record(Step("b", "p"))
    state.close()
    # What was stored before is whole.
    assert [
        step["spec"] for step in json.loads((tmp_path / "bisect.json").read_text())["steps"]
    ] == ["a"]


def test_what_an_interrupted_run_left_is_removed(tmp_path: Path) -> None:
    state = BisectState(tmp_path, ASKED, fresh=False)
    place = state.run_directory("git:/a b@c", 1)
    place.mkdir(parents=True)
    (place / "half").touch()
    assert state.run_directory("git:/a b@c", 1) == place
    assert not place.exists()
    state.close()


def commit(path: Path, tag: str, *words: str, message: str = "a change") -> None:
    identity = ("-c", "user.name=t", "-c", "user.email=t@t")
    for argv in (words, ("commit", "-qm", message), ("tag", tag)):
        subprocess.run(["git", *identity, *argv], cwd=path, check=True)


@pytest.fixture
def tree(tmp_path: Path) -> Callable[[int], Path]:
    def make(commits: int) -> Path:
        path = tmp_path / "tree"
        subprocess.run(["git", "init", "-q", path], check=True)
        for number in range(commits):
            (path / "file").write_text(str(number))
            commit(path, f"v{number}", "add", ".", message=f"change {number}")
        return path

    return make


def commit_id(tree: Path, revision: str) -> str:
    done = subprocess.run(
        ["git", "rev-parse", revision], cwd=tree, check=True, capture_output=True, text=True
    )
    return done.stdout.strip()


def git_bisect(
    tree: Path,
    text: str,
    out: Path,
    ends: tuple[str, str] | None = None,
    at_once: int = 1,
) -> Any:
    table = {commit_id(tree, f"v{n}"): "" if char == "-" else char for n, char in enumerate(text)}
    tester = FakeTester(table, at_once=at_once)
    state = BisectState(out, ASKED, fresh=False)
    try:
        ends = ends or ("v0", f"v{len(text) - 1}")
        question = ask(names=("good", "bad"))
        found = search_git(tree, ends, question, tester, state, lambda _: None)  # type: ignore[arg-type]
    finally:
        state.close()
    return found, tester


def test_git_names_the_commit(tree: Callable[[int], Path], tmp_path: Path) -> None:
    path = tree(9)
    before = {file: file.stat().st_mtime_ns for file in path.rglob("*")}
    found, tester = git_bisect(path, "pppppaaaa", tmp_path / "out")
    assert found.first_new == (commit_id(path, "v5"),)
    assert "change 5" in found.described
    assert "first new commit" in found.log
    assert len(tester.tested) <= 6
    assert {file: file.stat().st_mtime_ns for file in path.rglob("*")} == before
    _, again = git_bisect(path, "pppppaaaa", tmp_path / "out")
    assert again.tested == []


@pytest.mark.parametrize("text", ["pppppaaaa", "paaaaaaaa", "ppppppppa", "pp-ppaaaa"])
def test_git_finds_the_same_with_several_at_once(
    tree: Callable[[int], Path], tmp_path: Path, text: str
) -> None:
    """Three: the one that git names, and those one of which it names next."""
    path = tree(9)
    one, alone = git_bisect(path, text, tmp_path / "one")
    found, tester = git_bisect(path, text, tmp_path / "many", at_once=3)
    assert found.first_new == one.first_new != ()
    assert len(tester.tested) == len(set(tester.tested))
    assert set(alone.tested) <= set(tester.tested)
    ends, names = 2, {commit_id(path, f"v{number}"): number for number in range(9)}
    first = {names[spec.rpartition("@")[2]] for spec in tester.tested[ends : ends + 3]}
    assert first == {4, 2, 6}


def test_git_skips_what_cannot_be_tested(tree: Callable[[int], Path], tmp_path: Path) -> None:
    path = tree(9)
    found, _ = git_bisect(path, "pppp-aaaa", tmp_path / "out")
    assert set(found.first_new) == {commit_id(path, "v4"), commit_id(path, "v5")}


def test_git_ends_that_do_not_differ(tree: Callable[[int], Path], tmp_path: Path) -> None:
    found, tester = git_bisect(tree(4), "pppp", tmp_path / "out")
    assert found.first_new == ()
    assert len(tester.tested) == 2


def test_git_ends_the_other_way_round(tree: Callable[[int], Path], tmp_path: Path) -> None:
    path = tree(9)
    found, tester = git_bisect(path, "pppppaaaa", tmp_path / "out", ends=("v8", "v0"))
    assert found.first_new == (commit_id(path, "v5"),)
    assert (found.ends.old, found.ends.new) == ("p", "a")
    assert found.question.names == ("bad", "good")
    straight, _ = git_bisect(path, "pppppaaaa", tmp_path / "again")
    assert straight.first_new == found.first_new
    assert straight.question.names == ("good", "bad")
    assert [spec.rpartition("@")[2] for spec in tester.tested[:2]] == [
        commit_id(path, "v0"),
        commit_id(path, "v8"),
    ]


def test_git_ends_that_are_none(tree: Callable[[int], Path], tmp_path: Path) -> None:
    path = tree(3)
    commit(path, "other", "checkout", "-q", "--orphan", "elsewhere")
    for ends, message in (
        (("v2", "other"), "neither of v2 and other is an ancestor"),
        (("v0", "v9"), "no such commit"),
        (("v0", "v0^0"), "the same commit"),
    ):
        with pytest.raises(InputError, match=message):
            git_bisect(path, "ppp", tmp_path / "out", ends=ends)


def test_old_and_new_stay_words_for_age() -> None:
    assert ask().reversed().names == ("old", "new")
    assert ask().reversed().specs == ("f", "a")
    assert ask(names=("good", "bad")).reversed().names == ("bad", "good")
