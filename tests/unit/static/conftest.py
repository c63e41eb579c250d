"""Fixtures of the tests that read code."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.unit.static.assembler import Assembler


@pytest.fixture
def assembler(tmp_path: Path) -> Assembler:
    """Makes small modules and kernels."""
    place = tmp_path / "assembled"
    place.mkdir()
    return Assembler(place)
