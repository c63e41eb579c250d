"""The page and the pictures."""

from __future__ import annotations

import lxml.etree
import lxml.html

from harness.benchmark.page import page
from harness.benchmark.picture import picture
from harness.benchmark.plan import SIZES
from tests.unit.benchmark.made import WAYS, benchmark, kernel, plain


def _dearer(algorithm: str, way: str, size: int) -> float:
    return plain(algorithm, way, size) * (1.5 if way == "splice" else 1)


def test_picture_has_a_panel_a_kernel_and_a_line_a_way() -> None:
    svg = picture(benchmark(kernel("6.12.95"), kernel("6.12.96")), "cbc(aes)")
    root = lxml.etree.fromstring(svg.encode())
    texts = ["".join(one.itertext()) for one in root.iter("{http://www.w3.org/2000/svg}text")]
    for text in ("6.12.95", "6.12.96", "cbc(aes)", "sendmsg", "splice", "openssl", "64 KiB"):
        assert texts.count(text) == (2 if text == "64 KiB" else 1), text
    panels = [one for one in root.iter() if (one.get("id") or "").startswith("axes_")]
    assert len(panels) == 2
    curves = [
        one
        for one in panels[1].iter("{http://www.w3.org/2000/svg}path")
        if (one.get("d") or "").count("L") == len(SIZES) - 1
    ]
    assert len(curves) == len(WAYS)


def test_same_benchmark_makes_the_same_picture() -> None:
    made = benchmark(kernel("1"))
    assert picture(made, "sha256") == picture(made, "sha256")


def test_page_says_what_changed_and_escapes_what_it_is_given() -> None:
    html = page(benchmark(kernel("6.12.95"), kernel("6.12.96", _dearer)))
    assert "quiet &lt;script&gt;" in html
    assert "<script" not in html
    text = lxml.html.fromstring(html).text_content()
    assert "6.12.96 against 6.12.95" in text
    assert "+50.0 %" in text
    assert "splice is cheaper than pread+openssl" in text
    assert "counted twice" in text
