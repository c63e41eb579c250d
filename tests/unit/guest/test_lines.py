"""Streams of text come as lines, however they were cut, and messages wait in bounded room."""

from __future__ import annotations

import threading

from hypothesis import given
from hypothesis import strategies as st

from harness.guest.lines import LineSplitter
from harness.guest.messages import ConsoleLine, Ended, Mailbox

_TEXTS = st.lists(st.text(alphabet="ab\n\r\u2028é", max_size=12), max_size=12)


@given(_TEXTS, st.integers(1, 30))
def test_lines_are_those_of_the_stream(chunks: list[str], limit: int) -> None:
    splitter = LineSplitter(limit)
    pieces = [piece for chunk in chunks for piece in splitter.feed(chunk)]
    pieces += splitter.finish()
    whole = "".join(chunks)
    assert "".join(text + "\n" * ended for text, ended in pieces) == whole
    assert all(len(text) <= limit for text, _ in pieces)
    if limit > len(whole):
        assert [text for text, _ in pieces] == whole.removesuffix("\n").split("\n") * bool(whole)


def test_an_endless_line_is_not_held() -> None:
    splitter = LineSplitter(100)
    for _ in range(1000):
        assert sum(len(text) for text, _ in splitter.feed("x" * 70)) <= 170
        assert len(splitter._rest) <= 100


def test_a_mailbox_gives_what_it_was_given_in_order() -> None:
    mailbox = Mailbox(1000)
    for number in range(3):
        assert mailbox.put(ConsoleLine(number, "x"), timeout=0)
    assert mailbox.put(Ended(3), timeout=0)
    seconds = [message.seconds for _ in range(4) if (message := mailbox.get(0))]
    assert seconds == [0, 1, 2, 3]
    assert mailbox.get(0) is None


def test_a_full_mailbox_holds_up_who_says_more() -> None:
    mailbox = Mailbox(1000)
    assert mailbox.put(ConsoleLine(0, "x" * 5000), timeout=0), "whatever its size, one goes in"
    assert not mailbox.put(Ended(0), timeout=0)
    threading.Timer(0.1, mailbox.get, [0]).start()
    assert mailbox.put(Ended(0), timeout=60)
