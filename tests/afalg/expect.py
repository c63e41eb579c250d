"""Assertions whose message tells what was expected and what was seen."""

from __future__ import annotations

import errno
from contextlib import contextmanager
from typing import TYPE_CHECKING

import af_alg
import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator


def same(expected: bytes, seen: bytes, what: str) -> None:
    """The bytes seen are the expected ones."""
    assert seen == expected, f"{what}: {af_alg.difference(expected, seen)}"


@contextmanager
def refused(number: int, what: str) -> Iterator[None]:
    """The calls inside fail with this errno.

    An algorithm that is not offered looks the same as some refusals: first show, outside,
    that the same call works when it should.
    """
    try:
        yield
    except OSError as error:
        assert error.errno == number, (
            f"{what}: expected {errno.errorcode[number]}, saw {af_alg.errno_name(error)}"
        )
    else:
        pytest.fail(f"{what}: expected {errno.errorcode[number]}, but it was accepted")
