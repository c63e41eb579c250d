"""Every skip of the suite says why as data."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

from harness.locations import suite_dir
from harness.model import Cause, Reason
from tests.unit.guest.test_oracle import suite_module


def skips_in_english(source: str) -> list[int]:
    """Lines that call ``pytest.skip()`` itself."""
    calls = [node.func for node in ast.walk(ast.parse(source)) if isinstance(node, ast.Call)]
    return [call.lineno for call in calls if ast.unparse(call) == "pytest.skip"]


def test_no_skip_without_a_reason() -> None:
    assert skips_in_english("pytest.skip('why')") == [1]
    files = sorted(suite_dir().rglob("*.py"))
    assert len(files) > 40
    found = [f"{path.name}:{line}" for path in files for line in skips_in_english(path.read_text())]
    assert not found


def test_skip_carries_its_reason() -> None:
    unavailable = suite_module("unavailable")
    reason = Reason(Cause.NO_MODULE, name="algif_aead")
    with pytest.raises(pytest.skip.Exception, match="is built in") as raised:
        unavailable.Unavailable("algif_aead is built in", reason).skip()
    assert unavailable.reason_of(raised.value) == reason
    # The words are pytest's own, which the recorder takes the prefix from.
    assert raised.exconly() == "Skipped: algif_aead is built in"


@pytest.mark.parametrize(("level", "told"), [("0\n", None), ("1\n", 1), ("2\n", 2), (None, None)])
def test_level_of_the_restriction(
    level: str | None,
    told: int | None,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    unavailable = suite_module("unavailable")
    sysctl = tmp_path / "af_alg_restrict"
    if level is not None:
        sysctl.write_text(level)
    monkeypatch.setattr(unavailable, "RESTRICT", sysctl)
    assert unavailable.restriction() == told
