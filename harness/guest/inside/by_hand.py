"""Pytest plugin for a shell in the guest: what the suite would report is printed.

The fixtures are those of ``recording.py``; no test has a time limit, for a person sits there.
"""

from __future__ import annotations

import pytest

from harness.guest.inside import records
from harness.guest.inside.recording import Recorder

_NO_LIMIT = 10.0**6  # seconds


def pytest_configure(config: pytest.Config) -> None:
    """Give tests the fixtures that they have in a run."""
    config.pluginmanager.register(Recorder(_Terminal(config), _NO_LIMIT), "by-hand")


class _Terminal:
    """Takes records, and prints those that pytest's own report does not show."""

    def __init__(self, config: pytest.Config) -> None:
        self._plugins = config.pluginmanager

    def send(self, record: records.Record) -> None:
        """Print one record, if it has news."""
        match record:
            case records.Probed():
                control = f" (control {record.control})" if record.control else ""
                told = ": ".join(
                    part for part in (f"{record.state}{control}", record.evidence) if part
                )
                self._print(f"fact {record.name} = {told}")
            case records.Transcripts():
                self._print(f"{len(record.transcripts)} transcripts")
            case records.TaintChange():
                self._print(f"taint {record.before} -> {record.after}")

    def _print(self, text: str) -> None:
        reporter = self._plugins.get_plugin("terminalreporter")
        capture = self._plugins.get_plugin("capturemanager")
        if reporter is None or capture is None:
            return
        with capture.global_and_fixture_disabled():
            reporter.ensure_newline()
            reporter.write_line(text)
