"""Judges a stored run anew, and says little."""

from __future__ import annotations

import argparse

from harness.commands.actions.report import judged_run
from harness.commands.actions.reporting import exit_in_words_of
from harness.output import reader_may_leave
from harness.report.answer import answers, sentence
from harness.text import clean


def execute(arguments: argparse.Namespace) -> int:
    """Judge; returns the exit code that the run has now."""
    result = judged_run(arguments)
    with reader_may_leave():
        print(f"exit {result.exit_code}: {clean(sentence(result))}")
        for answer in answers(result) if arguments.verbose else ():
            for cause in answer.gating:
                print(f"{clean(answer.name)}: {clean(cause.sentence)}")
    return exit_in_words_of(arguments.exit, result)
