"""The mirror of Debian: as given, or as this machine's apt has it."""

from __future__ import annotations

import pytest

from harness import mirror
from harness.errors import HostError, InputError
from harness.mirror import Mirror, choose_mirror, given_mirror, machine_mirror


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


def test_machine_mirror() -> None:
    targets = (
        "noble|main|http://other/ubuntu/\n"
        "bookworm|contrib|http://wrong/debian/\n"
        "bookworm-security|main|http://secure/debian-security/\n"
        "bookworm|main|http://mirror/debian/\n"
        "bookworm-updates|main|http://mirror/debian/\n"
    )
    assert machine_mirror(targets) == Mirror(
        "http://mirror/debian", "http://secure/debian-security"
    )
    assert machine_mirror("stable|main|http://m/debian/\n") == Mirror(
        "http://m/debian", "http://m/debian-security"
    )
    with pytest.raises(HostError, match="--mirror"):
        machine_mirror("noble|main|http://other/ubuntu/\n")


def test_given_one_comes_before_the_machines(monkeypatch: pytest.MonkeyPatch) -> None:
    machines = Mirror("http://mirror/debian", "http://secure/debian-security")
    monkeypatch.setattr(mirror, "find_machine_mirror", lambda: machines)
    assert choose_mirror(None) == machines
    assert choose_mirror("http://m/debian") == given_mirror("http://m/debian")
