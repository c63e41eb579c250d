"""A run's result -> report.html: one file, made of the templates beside this module."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Iterator, Sequence
from importlib.resources import files
from pathlib import Path
from urllib.parse import quote

from jinja2 import Environment, FunctionLoader, StrictUndefined
from markupsafe import Markup

from harness.model import RunResult
from harness.report.answer import Changes, Word, sentence
from harness.report.html.matrix import NAME, matrix, packed
from harness.report.html.picture import picture
from harness.report.html.sections import PURPOSES, KernelView, sections
from harness.report.html.shown import bounded, shown
from harness.report.options import ReportOptions
from harness.report.overview import exit_sentence, legend
from harness.report.state_map import Shown

FILE_NAME = "report.html"
_WORDS = 16  # kernels up to which tables have words; letters, with a legend, beyond
_LONGEST = 4000  # characters of any text in the static part


def pieces(result: RunResult, options: ReportOptions) -> Iterator[str]:
    """The page in pieces.

    The console around each test is read from the console.log below ``options.directory``.
    """
    yield from page(result, options.directory)


def page(result: RunResult, run_dir: Path | None) -> Iterator[str]:
    """The page in pieces. ``run_dir``: where console.log is looked for; None if nowhere."""
    parts = sections(result)
    order = [view.kernel for view in parts.kernels]
    style, script = resource("style.css"), resource("page.js")
    return ENVIRONMENT.get_template("page.html.j2").generate(
        result=result,
        parts=parts,
        sentence=sentence(result),
        exit_sentence=exit_sentence(result),
        legend=legend(result.kernels),
        picture=picture(order, [Shown(view.answer.word, view.looks) for view in parts.kernels]),
        purposes=PURPOSES,
        policy=content_policy(style, script),
        style=Markup(style),
        script=Markup(script),
        data=Markup(packed(matrix(result, order, run_dir))),  # Base64
        looks=_looks(parts.kernels, result),
        many=len(order) > _WORDS,
        against=next((view.name for view in parts.kernels if view.is_baseline), "the baseline"),
        fact_names={name for kernel in order for name in kernel.facts.named()},
    )


def _looks(views: Sequence[KernelView], result: RunResult) -> str:
    """The class in style.css of the verdict's sentence: the worst of any candidate."""
    if not result.exit_code:
        return "good"
    words = {view.answer.word for view in views if not view.is_baseline}
    return "bad" if Word.NOT_OK in words else "doubt"


def _seconds(value: float | None) -> str:
    if value is None:
        return "–"
    value = bounded(value)
    return f"{value:.1f} s" if value < 100 else f"{value:.0f} s"


def _others(changes: Changes) -> str:
    """``60 intended, 40 fixed, 146 new``."""
    told = {
        "unavailable": changes.unavailable,
        "intended": changes.intended,
        "fixed": changes.fixed,
        "new": changes.new,
        "flaky": changes.flaky,
        "allowed": changes.allowed,
    }
    return ", ".join(f"{number} {what}" for what, number in told.items() if number) or "none"


def _anchor(name: str) -> str:
    """What names a test or a fact in a link; page.js looks for the same text among its names."""
    return quote(shown(name, NAME), safe="")


def _letter(text: str) -> str:
    """A cell of a table of many kernels: the first letter of a state, ``*`` behind several."""
    state = text.partition(" ")[0]
    letter = {"unknown": "?"}.get(state, state[:1].upper())
    return f"{letter}*" if "," in text else letter


def content_policy(style: str, script: str = "") -> str:
    """The Content-Security-Policy: our script and style alone, and nothing from anywhere.

    A second defence: markup that came through would neither run nor load anything.
    """
    return "; ".join(
        (
            "default-src 'none'",
            f"script-src '{_digest(script)}'" if script else "script-src 'none'",
            f"style-src '{_digest(style)}'",
            "img-src data:",
            "base-uri 'none'",
            "form-action 'none'",
            "require-trusted-types-for 'script'",
        )
    )


def _digest(text: str) -> str:
    return "sha256-" + base64.b64encode(hashlib.sha256(text.encode()).digest()).decode("ascii")


def resource(name: str) -> str:
    """The text of a file beside this module."""
    return files(__package__).joinpath(name).read_text(encoding="utf-8")


def _finalized(value: object) -> object:
    """Whatever a template writes, made fit to be shown; it is escaped after that."""
    if isinstance(value, Markup):
        return value
    return shown(str(value), _LONGEST)


ENVIRONMENT = Environment(
    loader=FunctionLoader(resource),
    autoescape=True,
    undefined=StrictUndefined,
    finalize=_finalized,
    trim_blocks=True,
    lstrip_blocks=True,
)
ENVIRONMENT.filters.update(seconds=_seconds, others=_others, letter=_letter, anchor=_anchor)
