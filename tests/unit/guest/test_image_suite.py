"""The guest image's suite: what a mirror says of it, and what holds where it says nothing."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest

from harness.errors import FetchError, InputError
from harness.guest import image_suite
from harness.guest.image_suite import SuiteRelease, newest_stable, release_of

_RELEASE = """\
-----BEGIN PGP SIGNED MESSAGE-----
Hash: SHA256

Origin: Debian
Suite: {suite}
Codename: {codename}
Date: Sat, 10 Jan 2026 09:30:01 UTC
-----BEGIN PGP SIGNATURE-----

iQIzBAEBCAAdFiEE
-----END PGP SIGNATURE-----
"""
_DATE = 1768037401


def _add(mirror: Path, name: str, codename: str) -> None:
    place = mirror / "dists" / name
    place.mkdir(parents=True)
    (place / "InRelease").write_text(_RELEASE.format(suite=name, codename=codename))


@pytest.fixture
def mirror(tmp_path: Path) -> Path:
    """One on a disk."""
    place = tmp_path / "mirror"
    _add(place, "trixie", "trixie")
    return place


def test_a_suite(mirror: Path) -> None:
    _add(mirror, "stable", "trixie")
    assert release_of(f"file:{mirror}", "stable") == SuiteRelease("trixie", _DATE)


def test_a_suite_that_is_not_there(mirror: Path) -> None:
    with pytest.raises(InputError, match=r"buster: the mirror .* has no such suite"):
        release_of(f"file:{mirror}", "buster")


def test_a_mirror_that_does_not_answer() -> None:
    with pytest.raises(FetchError, match=r"127\.0\.0\.1:9/debian/dists/trixie/InRelease"):
        release_of("http://127.0.0.1:9/debian", "trixie")


@pytest.mark.parametrize("text", ["", "<html>\n", "Codename: trixie\n", "Date: today\n"])
def test_what_is_no_release(mirror: Path, text: str) -> None:
    (mirror / "dists/trixie/InRelease").write_text(text)
    with pytest.raises(FetchError, match="is not the release of a suite"):
        release_of(f"file:{mirror}", "trixie")


def test_the_newest_stable_one(mirror: Path, tmp_path: Path) -> None:
    """As the archive says it, also where we know of none so new."""
    _add(mirror, "forky", "forky")
    _add(mirror, "stable", "forky")
    assert newest_stable(tmp_path / "cache", f"file:{mirror}") == "forky"


def test_a_mirror_without_that_name(mirror: Path, tmp_path: Path) -> None:
    assert newest_stable(tmp_path, f"file:{mirror}") == "trixie"
    (tmp_path / "empty").mkdir()
    with pytest.raises(FetchError, match="has no stable suite; name one with --guest-suite"):
        newest_stable(tmp_path, f"file:{tmp_path}/empty")


def test_it_is_asked_once_a_day(
    mirror: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    url = f"file:{mirror}"
    assert newest_stable(tmp_path, url) == "trixie"
    _add(mirror, "stable", "forky")
    assert newest_stable(tmp_path, url) == "trixie"
    tomorrow = time.time() + 25 * 3600
    monkeypatch.setattr(time, "time", lambda: tomorrow)
    assert newest_stable(tmp_path, url) == "forky"


def test_it_is_asked_when_it_shall_be(mirror: Path, tmp_path: Path) -> None:
    assert newest_stable(tmp_path, f"file:{mirror}") == "trixie"
    _add(mirror, "stable", "forky")
    assert newest_stable(tmp_path, f"file:{mirror}", refresh=True) == "forky"


def test_what_it_said_holds_where_it_does_not_answer(
    mirror: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    newest_stable(tmp_path, f"file:{mirror}")

    def unreachable(mirror: str, suite: str) -> SuiteRelease:
        raise FetchError("no network")

    monkeypatch.setattr(image_suite, "release_of", unreachable)
    assert newest_stable(tmp_path, f"file:{mirror}", refresh=True) == "trixie"
    with pytest.raises(FetchError, match="no network"):
        newest_stable(tmp_path / "other", f"file:{mirror}")


def test_a_damaged_record_is_no_record(mirror: Path, tmp_path: Path) -> None:
    newest_stable(tmp_path, f"file:{mirror}")
    (record,) = tmp_path.glob("stable-*.json")
    for text in ("", "[]", "{}", '{"codename": "x", "time": "never"}'):
        record.write_text(text)
        os.utime(record)
        assert newest_stable(tmp_path, f"file:{mirror}") == "trixie"
