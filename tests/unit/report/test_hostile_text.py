"""Whatever a kernel, a test or a user says, no report is broken or driven by it."""

from __future__ import annotations

import csv
import io
import json
import re
from dataclasses import replace
from email import message_from_string, policy

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from kcidb_io.schema import V5_3
from lxml import etree
from markdown_it import MarkdownIt

from harness.judge.conclude import conclude
from harness.judge.expectations import Expectations
from harness.model import ConsoleEvent, Control, Fact, RunResult, State
from harness.report import render
from harness.report.options import ReportOptions
from tests.unit import samples
from tests.unit.report.test_junit import SCHEMA

_PIECES = (
    *("<script>alert(1)</script>", "]]>", "&#x202e;", "<!--", "-->", '"', "'", "</details>"),
    *("\x00", "\x1b[31m", "\x85", "\u2028", "\u202e", "\ud800", "\udcff", "\uffff", "\U0010ffff"),
    *("|", "\\", "`", "```", "~~~~", "**", "@user", "#1", "$x$", "[a](http://b)", "\r", "\n"),
    *("::error::x", "%0A", "=cmd()", "+1", "-1", "@x", ",", ";", "not ok 1 x # SKIP", "1..9"),
    *("KTAP version 1", "# Subtest: x", "reboot: System halted", "#regzbot introduced: x"),
)
HOSTILE = st.lists(st.one_of(st.sampled_from(_PIECES), st.text(max_size=9)), max_size=6).map(
    "".join
)
#: What drives a terminal, or the direction of a text.
_CONTROLS = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]")
_KTAP = re.compile(
    r"(    )*(KTAP version 1|1\.\.\d+|# Subtest: .+|#(  .*)?"
    r"|(not )?ok \d+ [^#]+( # (SKIP|ERROR|TIMEOUT)( [^#]*)?)?)"
)


def run_of(text: str) -> RunResult:
    """A run in which whatever others write is ``text``."""
    test = replace(samples.failed(samples.SHA256_TEST, text), details=text)
    odd = samples.failed(f"functional/x.py::t[{text}]", text)
    event = ConsoleEvent("warning", text, 1.0, samples.SHA256_TEST, (text, "Call Trace:"))
    kernel = samples.with_test(samples.regressed(), test)
    fact = Fact(State.PRESENT, Control.FIRED, text)
    kernel = replace(
        kernel,
        spec=f"x{text}",
        release=f"7.4{text}",
        reproduce=text,
        status_reason=text,
        plan=(*kernel.plan, odd.id),
        tests=(*kernel.tests, odd),
        console_events=(event,),
        facts=replace(kernel.facts, page_cache_write=fact, other={f"odd.{text}": fact}),
        notes=(text,),
        append=(text,),
    )
    result = replace(samples.run(samples.old(), kernel), command=text, id=text)
    host = replace(result.host, accel_reason=text, qemu=text)
    return conclude(replace(result, host=host), Expectations(), None)


def _junit(text: str) -> None:
    SCHEMA.assertValid(etree.fromstring(text.encode()))


def _summary(text: str) -> None:
    assert len(text.encode()) <= 60_000
    page = MarkdownIt("gfm-like", {"linkify": False}).render(text)
    tags = set(re.findall(r"<(\w+)", re.sub(r"<!-- -->", "", page)))
    assert tags <= {
        *("h1", "h2", "h3", "p", "ul", "li", "em", "strong", "code", "pre", "details", "summary"),
        *("table", "thead", "tbody", "tr", "th", "td", "br", "hr"),
    }
    assert page.count("<details>") == page.count("</details>")


def _ktap(text: str) -> None:
    for line in text.removesuffix("\n").split("\n"):
        assert _KTAP.fullmatch(line), repr(line)
        assert "reboot: System halted" not in line


def _kcidb(text: str) -> None:
    V5_3.validate(json.loads(text))
    assert "\\u0000" not in text


def _github(text: str) -> None:
    for line in text.removesuffix("\n").split("\n"):
        assert re.fullmatch(r"::(error|warning|notice) title=[^,:]*::.*", line), repr(line)


def _mail(text: str) -> None:
    content = message_from_string(text, policy=policy.default).get_content()
    assert content.isascii()
    assert all(len(line) <= 72 for line in content.splitlines())
    assert not re.search(r"^#regzbot", content, re.MULTILINE)


def _csv(text: str) -> None:
    for row in csv.reader(io.StringIO(text)):
        assert not any(cell.startswith(("=", "+", "-", "@")) for cell in row)


def _nipa(text: str) -> None:
    for check in json.loads(text):
        assert re.fullmatch(r"[-\w]+", check["context"], re.ASCII)
        assert len(check["description"]) <= 255


def _json(text: str) -> None:
    json.loads(text)


READERS = {
    "junit": _junit,
    "summary": _summary,
    "ktap": _ktap,
    "kcidb": _kcidb,
    "github": _github,
    "mail": _mail,
    "csv": _csv,
    "nipa": _nipa,
    "json": _json,
}


@pytest.mark.parametrize("name", render.FORMATS)
@settings(max_examples=10, suppress_health_check=[HealthCheck.too_slow])
@given(text=HOSTILE)
def test_any_text(name: str, text: str) -> None:
    options = ReportOptions(labels={"": text or "x"})
    made = "".join(render.pieces(run_of(text), name, options))
    made.encode()
    assert not _CONTROLS.search(made), _CONTROLS.search(made)
    READERS.get(name, lambda _: None)(made)


@pytest.fixture(scope="module")
def long_run() -> RunResult:
    """Judged once for all reports, which takes seconds."""
    return run_of("\n".join(("x" * 1_000_000, " " * 1_000_000, "y\n" * 500_000)))


@pytest.mark.parametrize("name", sorted(READERS.keys() - {"json"}))
def test_megabytes_are_cut(name: str, long_run: RunResult) -> None:
    made = "".join(render.pieces(long_run, name))
    READERS[name](made)
    assert len(made) < 600_000
    if name in {"junit", "ktap", "github", "kcidb"}:
        assert "characters left out here" in made
