"""results.csv as a spreadsheet reads it."""

from __future__ import annotations

import csv
import io

from harness.model import RunResult
from harness.report.render import pieces
from tests.stored_runs import stored_run
from tests.unit import samples


def rows(result: RunResult) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO("".join(pieces(result, "csv")))))


def test_real_kernels() -> None:
    found = rows(stored_run())
    kernels = stored_run().kernels
    assert len(found) == sum(
        1 + len(kernel.facts.named()) + len(kernel.tests) for kernel in kernels
    )
    states = {
        row["release"]: row["state"]
        for row in found
        if (row["kind"], row["id"]) == ("fact", "zero_copy.skcipher.splice_file")
    }
    assert states["6.12.95+deb13-amd64"] == "present"
    assert states["6.12.96+deb13-amd64"] == "absent"


def test_text_is_no_formula() -> None:
    odd = samples.failed(samples.SHA256_TEST, '=HYPERLINK("http://x")\r\n,"')
    found = rows(samples.run(samples.with_test(samples.new(), odd)))
    (row,) = [row for row in found if row["id"] == samples.SHA256_TEST]
    assert row["message"] == """'=HYPERLINK("http://x") ,\""""
    assert not any(cell.startswith(("=", "+", "-", "@")) for row in found for cell in row.values())
