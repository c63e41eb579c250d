"""Cuts a stream of text into lines without ever holding much of it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple


class Piece(NamedTuple):
    """A line without its end, or part of one that is too long to be held."""

    text: str
    ended: bool  # the line ends here


class LineSplitter:
    """Turns chunks of text into lines; one of more than ``limit`` characters comes in pieces."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._rest = ""

    def feed(self, text: str) -> Iterator[Piece]:
        """Take a chunk; yields the lines that it ends."""
        *lines, self._rest = (self._rest + text).split("\n")
        for line in lines:
            cuts = range(0, max(1, len(line)), self._limit)
            for cut in cuts:
                yield Piece(line[cut : cut + self._limit], cut == cuts[-1])
        while len(self._rest) > self._limit:
            yield Piece(self._rest[: self._limit], False)
            self._rest = self._rest[self._limit :]

    def finish(self) -> Iterator[Piece]:
        """Nothing more comes; yields a line that lacks its end."""
        if self._rest:
            yield Piece(self._rest, False)
            self._rest = ""
