"""The names of the formats of a report: light, for help and completion."""

from __future__ import annotations

from collections.abc import Mapping

#: Name of each (harness/report/render.py makes it) -> what it is for.
PURPOSES: Mapping[str, str] = {
    "json": "everything, for programs",
    "junit": "JUnit XML, for CI servers",
    "summary": "Markdown, for a pull request",
    "checklist": "an item of a release checklist",
    "mail": "a mail to a kernel mailing list",
    "ktap": "KTAP, for kunit.py, LAVA and openQA",
    "kcidb": "a KCIDB report (v5.3)",
    "github": "annotations of a GitHub job",
    "nipa": "checks for patchwork, as NIPA makes them",
    "csv": "a table, for spreadsheets",
    "text": "the answer, as it is printed by default",
    "html": "one page with everything, for browsers",
}
#: Other words for a format.
SYNONYMS: Mapping[str, str] = {"md": "summary", "markdown": "summary"}
