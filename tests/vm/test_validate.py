"""A validation as a page shows it, with the suite of one's own that another page shows."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

from harness.model import Outcome, Role, Status
from harness.report import results_file
from tests import documented
from tests.documented import write_files

from .conftest import AFTER, BEFORE, COMMAND, bootable


def test_a_validation_with_a_suite_of_ones_own(tmp_path: Path) -> None:
    """Nothing is stored: the kernel before it is booted beside it; two guests in all."""
    for spec in (BEFORE, AFTER):
        bootable(spec)
    write_files(tmp_path)
    validate = documented.arguments("afalg-harness validate debian:6.12.96+deb13-amd64")
    _run, spec, *suite = documented.arguments(
        "afalg-harness run debian:6.12.96+deb13-amd64 --suite my_suite"
    )
    assert spec in validate
    done = subprocess.run(
        [COMMAND, *validate, *suite, "--out", "out"],
        capture_output=True,
        text=True,
        check=False,
        cwd=tmp_path,
        env={**os.environ, "AFALG_STORE": str(tmp_path / "store.sqlite")},
        timeout=900,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "# Release checklist" in done.stdout
    kernels = results_file.load(tmp_path / "out").kernels
    assert {kernel.spec: kernel.role for kernel in kernels} == {
        BEFORE: Role.BASELINE,
        AFTER: Role.CANDIDATE,
    }
    for kernel in kernels:
        assert kernel.status is Status.COMPLETED, kernel.status_reason
        assert {test.id.rpartition("::")[2]: test.outcome for test in kernel.tests} == {
            "test_socket_opens": Outcome.PASSED,
            "test_assoclen": Outcome.PASSED,
            "test_digest_by_sendfile": Outcome.PASSED,
        }
        assert kernel.facts.named()["mine.sendfile"].state == "present"
