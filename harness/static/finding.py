"""What is found about a way into or out of a request socket."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Word(StrEnum):
    """What the code says of a way."""

    CAN = "can refer to pages"
    CANNOT = "cannot"
    SILENT = "silent"  # it could not be read


@dataclass(frozen=True)
class Finding:
    """What the code says of one way, and why."""

    way: str  # "skcipher.input"
    word: Word
    #: CAN: the calls from the socket's operation to what takes pages. CANNOT: the operations
    #: from which nothing such is reached; none if the sockets have no such operation.
    evidence: tuple[str, ...] = ()
    reason: str = ""  # why it is silent

    def in_words(self) -> str:
        """The word and its evidence, in one line."""
        match self.word:
            case Word.CAN:
                return f"{self.word}: {' -> '.join(self.evidence)}"
            case Word.CANNOT:
                if not self.evidence:
                    return f"{self.word}: no such operation"
                return f"{self.word}: nothing below {', '.join(self.evidence)} takes them"
            case Word.SILENT:
                return f"{self.word}: {self.reason}"
