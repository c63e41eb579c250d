"""The mirror of Debian: as given, or as this machine's apt has it."""

from __future__ import annotations

from pathlib import Path

import pytest

from harness import mirror
from harness.errors import HostError, InputError
from harness.mirror import Mirror, choose_mirror, given_mirror, last_line, machine_mirror


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("http://m/debian", Mirror("http://m/debian", "http://m/debian-security")),
        ("https://m/debian/", Mirror("https://m/debian", "https://m/debian-security")),
        ("file:/srv/debian", Mirror("file:/srv/debian", "file:/srv/debian-security")),
    ],
)
def test_given_mirror(url: str, expected: Mirror) -> None:
    assert given_mirror(url) == expected


@pytest.mark.parametrize("url", ["", "debian", "http:// m/debian", "http://m/x\ndeb y", "[a=b]"])
def test_no_mirror(url: str) -> None:
    with pytest.raises(InputError, match="is not the URL of a mirror"):
        given_mirror(url)


def _index(base: str, release: str, component: str = "main") -> str:
    path = f"dists/{release}/{component}/binary-amd64/Packages"
    return f"'{base}/{path}.xz' {path.replace('/', '_')} 0 \n"


def test_machine_mirror() -> None:
    uris = (
        _index("http://other/ubuntu", "noble")
        + _index("http://wrong/debian", "bookworm", "contrib")
        + "'http://wrong/debian/dists/bookworm/InRelease' wrong_debian_bookworm_InRelease 0 \n"
        + _index("http://secure/debian-security", "bookworm-security")
        + _index("http://mirror/debian", "bookworm")
        + _index("http://mirror/debian", "bookworm-updates")
    )
    assert machine_mirror(uris) == Mirror("http://mirror/debian", "http://secure/debian-security")
    old = _index("http://s/debian-security", "bullseye/updates") + _index("http://m/d/", "bullseye")
    assert machine_mirror(old) == Mirror("http://m/d", "http://s/debian-security")
    assert machine_mirror(_index("http://m/debian", "stable")) == Mirror(
        "http://m/debian", "http://m/debian-security"
    )
    with pytest.raises(HostError, match="--mirror"):
        machine_mirror(_index("http://other/ubuntu", "noble"))


def test_a_machine_without_lists(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An image of a container, whose lists were deleted: its sources say it all the same."""
    sources = tmp_path / "sources.list"
    sources.write_text("deb http://m.example/debian trixie main\n")
    (tmp_path / "lists").mkdir()
    settings = tmp_path / "apt.conf"
    settings.write_text(
        f'Dir::Etc::sourcelist "{sources}";\nDir::Etc::sourceparts "-";\n'
        f'Dir::State::lists "{tmp_path}/lists";\n'
    )
    monkeypatch.setenv("APT_CONFIG", str(settings))
    mirror.find_machine_mirror.cache_clear()
    try:
        assert choose_mirror(None).main == "http://m.example/debian"
    finally:
        mirror.find_machine_mirror.cache_clear()


def test_given_one_comes_before_the_machines(monkeypatch: pytest.MonkeyPatch) -> None:
    machines = Mirror("http://mirror/debian", "http://secure/debian-security")
    monkeypatch.setattr(mirror, "find_machine_mirror", lambda: machines)
    assert choose_mirror(None) == machines
    assert choose_mirror("http://m/debian") == given_mirror("http://m/debian")


def test_last_line() -> None:
    assert last_line("noise\nE: first\nW: second\n") == "first"
    assert last_line("only\nthis\n") == "this"
    assert last_line("") == "no reason given"
