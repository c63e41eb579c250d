"""Text of others, made fit for a terminal and for XML."""

from __future__ import annotations

import pytest

from harness.text import clean, xml_text


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("\x1b[2J\x07 x\x9b31m\x7f\0", "?[2J? x?31m??"),
        ("one\r\ntwo\nthree\u2028four", "one two three four"),
        ("é\t[bold]€[/bold]", "é\t[bold]€[/bold]"),
        ("", ""),
    ],
)
def test_clean(text: str, shown: str) -> None:
    assert clean(text) == shown


def test_xml() -> None:
    assert xml_text("\0\x1b[31m \udcff \uffff é\t\r\n\U0001f427") == "??[31m ? ? é\t\r\n\U0001f427"
