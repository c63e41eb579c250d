"""``afalg-harness benchmark`` on a kernel with zero-copy input and on the next one, without."""

from __future__ import annotations

import subprocess
from pathlib import Path

from harness.benchmark.changes import NOISE, changes
from harness.benchmark.file import load
from harness.benchmark.page import FILE_NAME
from tests import documented

from .conftest import COMMAND

_FEW = ("--algorithm", "cbc(aes)", "--way", "sendmsg", "--way", "splice", "--way", "openssl")
_PATIENCE = 1500  # seconds, on a busy machine


def test_splice_became_dearer_by_the_copy_and_by_nothing_else(tmp_path: Path) -> None:
    words = documented.arguments("benchmark debian:6.12.95+deb13-amd64")
    out = tmp_path / "costs"
    done = subprocess.run(
        [str(COMMAND), *words, *_FEW, "--size", "16", "--size", "65536", "--out", str(out)],
        capture_output=True,
        text=True,
        check=False,
        timeout=_PATIENCE,
    )
    assert done.returncode == 0, done.stderr
    assert (out / FILE_NAME).stat().st_size > 10_000
    before, after = (kernel.count() for kernel in load(out).kernels)
    found = {
        way.way: {one.before.size: one.share for one in way.rows} for way in changes(before, after)
    }
    assert found["splice"][65536] > 0.02
    assert abs(found["openssl"][65536]) < NOISE
    calls = {way.way: way.call for way in changes(before, after)}
    assert calls["splice"] == "splice to socket"
