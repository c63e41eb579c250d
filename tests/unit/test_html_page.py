"""What the HTML report is made of, without a browser."""

from __future__ import annotations

import base64
import hashlib
import json
import re
import zlib
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import pytest

from harness.guest.inside.records import END_MARKER, start_marker
from harness.judge.conclude import judged_anew
from harness.model import KernelResult, Outcome, Role, RunResult, Status, TestResult
from harness.report.html.consoles import excerpts
from harness.report.html.matrix import matrix
from harness.report.html.page import page
from harness.report.html.picture import picture
from harness.report.html.purposes import is_ours, purpose
from harness.report.html.sections import kernel_views, sections
from harness.report.html.shown import Strings, bounded, shown
from harness.report.order import by_version, short_names
from harness.report.render import render
from harness.report.state_map import Shown
from tests.stored_runs import stored_run
from tests.unit.html_runs import EVIL, hostile_run
from tests.unit.samples import run as run_of

SHA256 = "functional/test_hash.py::test_known_answer[sha256]"


def _kernel(release: str) -> KernelResult:
    return KernelResult(f"debian:{release}", release, Role.CANDIDATE, Status.COMPLETED)


def _text(run: RunResult) -> str:
    return "".join(page(run, None))


class _Elements(HTMLParser):
    """All start tags with their attributes, and the text of scripts and styles."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str | None]]] = []
        self.code: dict[str, str] = {}
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        if self.cdata_elem is not None:
            tag, attributes = self.found[-1]
            self.code[attributes.get("type") or tag] = data


def test_shown_cuts_the_middle_and_says_so() -> None:
    text = shown("a" * 50 + "b" * 1_000_000 + "c" * 50, 90)
    assert text.splitlines()[1] == "[1,000,010 characters cut here; all of it is in results.json]"
    assert text.startswith("a" * 50) and text.endswith("c" * 30)


@pytest.mark.parametrize("bad", ["\x00", "\x1b", "\x7f", "\x9b", "\udc80", "\u202e", "\ufffe"])
def test_shown_has_nothing_that_drives_or_hides(bad: str) -> None:
    assert shown(f"a{bad}b\tc\nd\r\ne", 100) == "a\ufffdb\tc\nd\ne"


def test_strings_are_stored_once_and_have_an_end() -> None:
    strings = Strings()
    assert [strings.add(text) for text in ("", "a", "b", "a")] == [0, 1, 2, 1]
    numbers = {strings.add(f"{n}" + "x" * 1_000_000, 10_000_000) for n in range(30)}
    assert sum(map(len, strings.all)) < 13_000_000
    assert strings.all[max(numbers)].startswith("[no room is left on this page")


@pytest.mark.parametrize(("seconds", "drawn"), [(float("nan"), 0), (-1, 0), (1e300, 1e6), (2, 2)])
def test_times_can_be_drawn(seconds: float, drawn: float) -> None:
    assert bounded(seconds) == drawn


def test_purposes_come_from_the_suite() -> None:
    assert purpose(SHA256).startswith("Digests of messages")
    assert is_ours(SHA256)
    others = ("my_suite/test_mine.py::test_x", "/etc/passwd::x", "../../x.py::test", "\0.py::x", "")
    assert not any(map(is_ours, others))
    assert {purpose(test) for test in others} == {""}


def _console(place: Path, *lines: str) -> None:
    (place / "k").mkdir()
    (place / "k/console.log").write_text("\n".join(lines) + "\n", encoding="utf-8")


def test_console_is_told_from_marker_to_marker(tmp_path: Path) -> None:
    """A test that nothing came with is left out; what came in two boots is told together."""
    one, two = (f"[ 1.0] [ 1.0] {start_marker(test)}" for test in ("a::one", "a::two"))
    _console(tmp_path, "boot", one, "first", two, f"[ 2.0] {END_MARKER}", "boot", one, "again")
    found = excerpts(tmp_path, "k", ["a::one", "a::two"])
    assert found is not None
    assert found.keys() == {"a::one"}
    assert found["a::one"].splitlines() == [
        *("[console.log, from line 2]", one, "first", two),
        *("[console.log, from line 7]", one, "again"),
    ]


def test_a_flood_on_the_console_is_cut(tmp_path: Path) -> None:
    marker = f"[ 1.0] {start_marker('a::one')}"
    _console(tmp_path, marker, "x" * 100_000, *(f"line {n}" for n in range(10_000)))
    found = excerpts(tmp_path, "k", ["a::one"])
    assert found is not None
    lines = found["a::one"].splitlines()
    assert len(lines) == 123
    assert "[99,500 bytes cut here]" in lines[2]
    assert "[9,881 lines left out here]" in lines
    assert lines[-1] == "line 9999"


@pytest.mark.parametrize("directory", ["", "none", "../k", "/etc", "\0"])
def test_no_console_from_elsewhere(tmp_path: Path, directory: str) -> None:
    _console(tmp_path, start_marker("a::one"), "x")
    (tmp_path / "run").mkdir()
    assert excerpts(tmp_path / "run", directory, ["a::one"]) is None


def test_kernels_stand_in_the_order_of_versions() -> None:
    wanted = ["6.1.0-50", "6.2.0", "6.12.9+deb13", "6.12.10+deb13", "7.3-rc1", "7.3-rc10", "7.3"]
    wanted += ["7.3.4+deb13-amd64", "7.3.4+deb13-cloud-amd64", ""]
    kernels = [_kernel(release) for release in reversed(wanted)]
    assert [kernel.release for kernel in by_version(kernels)] == wanted


def test_names_are_told_without_what_all_end_with() -> None:
    assert short_names(["6.1-amd64", "7.3-amd64"]) == ["6.1", "7.3"]
    assert short_names(["6.1-amd64", "7.3-arm64"]) == ["6.1-amd64", "7.3-arm64"]
    assert short_names(["6.1-amd64"]) == ["6.1-amd64"]


def test_picture_of_states_over_versions() -> None:
    """Facts that are alike share a column, neighbours with one state a bar."""
    views = kernel_views(judged_anew(stored_run(), None))
    order = [view.kernel for view in views]
    drawn = picture(order, [Shown(view.answer.word, view.looks) for view in views])
    assert drawn is not None
    lanes = {lane.label: [bar.word for bar in lane.bars] for lane in drawn.lanes}
    assert lanes["skcipher input, 12 ways"] == ["absent", "present", "absent", "present", "absent"]
    assert lanes["page_cache_write"] == ["absent", "present", "absent", "present", "absent"]
    assert lanes["policy.allowlist"] == ["absent", "present"]
    assert lanes["tests that fail"] == ["1", "6", "0", "4", "3", "0", "2", "0"]
    assert [tick.label for tick in drawn.series][:3] == ["6.1", "6.12", "6.18"]
    assert picture(order[:2], []) is None


def test_each_of_many_kernels_has_a_row_with_its_word() -> None:
    order = [_kernel(f"6.{number}.0") for number in range(80)]
    words = [Shown("OK", "good") if number % 2 else Shown("NOT OK", "bad") for number in range(80)]
    drawn = picture(order, words)
    assert drawn is not None
    assert [bar.word for bar in drawn.lanes[0].bars] == ["NOT OK", "OK"] * 40
    assert drawn.width < 1400
    assert len({bar.y for bar in drawn.lanes[0].bars}) == 80


def test_changes_are_told_by_cause() -> None:
    """One line for what many kernels share; what the run fails for stands first."""
    parts = sections(judged_anew(stored_run(), None))
    headings = dict(parts.changes)
    assert next(iter(headings)).startswith("lost")
    (gone,) = (one for one in headings["fixed"] if "zero-copy" in one.cause.sentence)
    assert len(gone.kernels) == 6
    assert gone.cause.count == 35
    assert all(not view.is_baseline for one in parts.reasons for view in one.kernels)


def test_a_sequence_that_shows_a_loss_comes_with_its_program() -> None:
    parts = sections(judged_anew(stored_run(), None))
    lost = parts.changes[0][1]
    (told,) = (one.reproducer for one in lost if "more_bytes" in one.cause.sentence)
    assert "6.1.0-50-amd64" in told
    assert "socket.AF_ALG" in told


def test_sequences_belong_to_the_test_that_played_them() -> None:
    run = stored_run()
    data = json.loads(json.dumps(matrix(run, run.kernels, None)))
    seeds = {data["ids"][int(test)]: numbers for test, numbers in data["plays"].items()}
    assert len(seeds) == 32
    first = [data["strings"][data["sequences"][n]] for n in seeds[min(seeds)]]
    assert len({text.partition(": ")[0] for text in first}) == 1


def test_a_planned_test_that_was_never_reported_is_missing() -> None:
    kernel = replace(
        _kernel("7.3"), plan=("a/b.py::one", "a/b.py::two"),
        tests=(TestResult("a/b.py::one", Outcome.PASSED),),
    )  # fmt: skip
    other = replace(_kernel("7.4"), plan=("a/b.py::three",))
    run = run_of(kernel, other)
    data = json.loads(json.dumps(matrix(run, run.kernels, None)))
    assert [one["outcomes"] for one in data["kernels"]] == ["PM-", "--M"]


@pytest.mark.parametrize(
    ("command", "parts"),
    [
        (
            "afalg-harness run x --suite zero_copy -k a --append y",
            ["run x --append y", "zero_copy"],
        ),
        ("afalg-harness run x -knot --suite=my_suite", ["run x", "--suite=my_suite"]),
        ("afalg-harness run 'x", ["", ""]),
    ],
)
def test_commands_can_name_one_test(command: str, parts: list[str]) -> None:
    run = run_of(replace(_kernel("7.3"), reproduce=command))
    data = json.loads(json.dumps(matrix(run, run.kernels, None)))
    head, suites = data["kernels"][0]["again"]
    assert head.endswith(parts[0]) and suites.endswith(parts[1])


def test_policy_lets_in_our_own_code_alone() -> None:
    elements = _Elements(_text(stored_run()))
    policy = next(
        attributes["content"] or ""
        for tag, attributes in elements.found
        if attributes.get("http-equiv") == "Content-Security-Policy"
    )
    assert policy.startswith("default-src 'none'; ")
    for tag in ("script", "style"):
        digest = hashlib.sha256(elements.code[tag].encode()).digest()
        assert f"{tag}-src 'sha256-{base64.b64encode(digest).decode()}'" in policy


def test_nothing_is_loaded_from_anywhere() -> None:
    named = {"src", "href", "srcset", "data", "action", "xlink:href"}
    for _, attributes in _Elements(_text(stored_run())).found:
        for name in named & attributes.keys():
            assert re.match(r"#|data:,$", attributes[name] or ""), attributes
        assert "style" not in attributes  # the policy lets none in
        assert not any(name.startswith("on") for name in attributes)


def test_hostile_texts_make_no_elements() -> None:
    """Whoever wrote a text, only our own elements and attributes are there."""
    text = _text(hostile_run())
    text.encode("utf-8")  # no lone surrogate
    assert not re.search("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202e]", text)
    elements = _Elements(text).found
    plain = {tag for tag, _ in _Elements(_text(judged_anew(stored_run(), None))).found}
    assert {tag for tag, _ in elements} <= plain | {"pre"}
    assert [attributes.get("type") for tag, attributes in elements if tag == "script"] == [
        "application/octet-stream",
        None,
    ]
    assert EVIL not in text
    assert len(text) < 1_000_000


def test_the_data_are_whole() -> None:
    text = _Elements(_text(stored_run())).code["application/octet-stream"]
    data = json.loads(zlib.decompress(base64.b64decode(text, validate=True)))
    assert len(data["ids"]) == 1209
    assert {len(kernel["outcomes"]) for kernel in data["kernels"]} == {1209}


def test_it_is_a_format_of_reports(tmp_path: Path) -> None:
    (path,) = render(stored_run(), tmp_path, ["html"])
    assert path == tmp_path / "report.html"
    assert path.read_text(encoding="utf-8").startswith("<!DOCTYPE html>")


def test_runs_without_anything_have_a_page() -> None:
    """No kernel booted, none has facts, tests or a baseline."""
    lost = KernelResult("debian:nosuch", "", Role.CANDIDATE, Status.UNAVAILABLE, "no such kernel")
    for run in (run_of(), run_of(lost)):
        assert "<h1" in _text(run)
