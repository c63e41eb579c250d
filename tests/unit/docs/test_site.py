"""The documentation as a site: it is built strictly, and asks no other server for anything."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

TOP = Path(__file__).parents[3]
_OUTSIDE = re.compile(r"""(?:src|href)=["']?(?:https?:)?//[^"' >]+|url\((?:https?:)?//[^)]+""")
_LARGEST_PICTURE = 200_000  # bytes
_LINK = re.compile(r"\]\((?!https?:)([^)#]*)(?:#([^)]*))?\)")


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The site; a link that leads nowhere, a page outside the menu, ends the build."""
    place = tmp_path_factory.mktemp("site") / "docs"
    done = subprocess.run(
        [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", place],
        cwd=TOP,
        env={**os.environ, "NO_MKDOCS_2_WARNING": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return place


def test_each_page_is_there(site: Path) -> None:
    pages = {path.stem for path in (TOP / "docs").glob("*.md")}
    assert "index" in pages
    assert pages <= {path.stem for path in site.glob("*.html")}


def test_nothing_is_fetched_from_elsewhere(site: Path) -> None:
    """Neither fonts nor scripts; links that a reader may follow are in the text alone."""
    texts = {path: path.read_text() for ending in ("html", "css") for path in _files(site, ending)}
    assert len(texts) > 10
    for path, text in texts.items():
        fetched = re.sub(r"<a [^>]*>", "", text)
        assert _OUTSIDE.findall(fetched) == [], path


def _files(site: Path, ending: str) -> list[Path]:
    return list(site.rglob(f"*.{ending}"))


def test_pictures_are_small() -> None:
    pictures = list((TOP / "docs/pictures").iterdir())
    assert pictures
    for picture in pictures:
        assert picture.stat().st_size < _LARGEST_PICTURE, picture


def test_links_of_the_readme(site: Path) -> None:
    """The build reads docs/ alone."""
    links = _LINK.findall((TOP / "README.md").read_text())
    assert len(links) > 10
    for target, anchor in links:
        assert (TOP / target).is_file(), target
        if anchor:
            built = (site / f"{Path(target).stem}.html").read_text()
            assert f'id="{anchor}"' in built, f"{target}#{anchor}"
