"""Takes the picture of an HTML report that docs/index.md shows.

    .venv/bin/python ci/report_picture.py

The report is that of the run in tests/data whose verdict stands beside it. Needs Debian's
chromium, which makes the picture a WebP as well: a third of the PNG.
"""

from __future__ import annotations

import base64
import sys
import tempfile
from pathlib import Path

TOP = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(TOP))

from harness.report.html.page import page as html_page  # noqa: E402
from tests.browser import chromium, opened  # noqa: E402
from tests.stored_runs import FLAVOURS, stored_run  # noqa: E402

PICTURE = TOP / "docs" / "pictures" / "report.webp"
_WIDTH, _HEIGHT = 1280, 975  # pixels: down to the reasons
_TO_WEBP = """async png => {
    const image = new Image();
    image.src = png;
    await image.decode();
    const canvas = document.createElement("canvas");
    canvas.width = image.width;
    canvas.height = image.height;
    canvas.getContext("2d").drawImage(image, 0, 0);
    return canvas.toDataURL("image/webp", 0.8);
}"""


def main() -> int:
    """Write the picture; returns the exit code."""
    with tempfile.TemporaryDirectory() as directory:
        report = Path(directory) / "report.html"
        report.write_text("".join(html_page(stored_run(FLAVOURS), None)), encoding="utf-8")
        with chromium(Path(directory)) as browser:
            with opened(browser, report, width=_WIDTH, height=_HEIGHT) as shown:
                png = base64.b64encode(shown.page.screenshot()).decode()
            blank = browser.new_page()  # the report's policy lets no picture in
            webp = blank.evaluate(_TO_WEBP, f"data:image/png;base64,{png}")
    PICTURE.parent.mkdir(exist_ok=True)
    PICTURE.write_bytes(base64.b64decode(webp.partition(",")[2]))
    print(f"{PICTURE}: {PICTURE.stat().st_size} bytes")
    return 0


if __name__ == "__main__":
    sys.exit(main())
