"""Which of the archive's kernels a bisect goes through, and in which order."""

from __future__ import annotations

import pytest

from harness.bisect.candidates import check_patterns, from_archive, is_listed, listed, split_among
from harness.errors import InputError
from harness.kernels.archive.debian import ArchiveKernel


def archive() -> list[ArchiveKernel]:
    rows = [
        ("7.2.12+deb13-amd64", "7.2.12-1~bpo13+1", "amd64", "trixie-backports"),
        ("6.12.117+deb13-amd64", "6.12.117-1", "amd64", "trixie-security"),
        ("6.12.96+deb13-cloud-amd64", "6.12.96-1", "cloud-amd64", "trixie-security"),
        ("6.12.96+deb13-amd64", "6.12.96-1", "amd64", "trixie-security"),
        ("6.12.95+deb13-amd64", "6.12.95-1", "amd64", "trixie-security"),
        ("6.12.95+deb12-amd64", "6.12.95-1~bpo12+1", "amd64", "bookworm-backports"),
        ("6.12.90+deb13.1-amd64", "6.12.90-2", "amd64", "trixie-security"),
        ("6.12.90+deb13-amd64", "6.12.90-1", "amd64", "trixie-security"),
        ("6.12.9+deb13-amd64", "6.12.9-1", "amd64", "trixie"),
        ("6.12.9+deb13-cloud-amd64", "6.12.9-1", "cloud-amd64", "trixie"),
    ]
    return [
        ArchiveKernel(release, version, flavour, (suite,))
        for release, version, flavour, suite in rows
    ]


def among(
    *patterns: str, first: str = "6.12.9+deb13-amd64", last: str = "7.2.12+deb13-amd64"
) -> list[str]:
    found = from_archive(archive(), patterns, f"debian:{first}", f"debian:{last}")
    return [kernel.spec.removeprefix("debian:") for kernel in found.kernels]


def test_everything_of_the_flavour_by_version() -> None:
    assert among() == [
        "6.12.9+deb13-amd64",
        "6.12.90+deb13-amd64",
        "6.12.90+deb13.1-amd64",
        "6.12.95+deb12-amd64",
        "6.12.95+deb13-amd64",
        "6.12.96+deb13-amd64",
        "6.12.117+deb13-amd64",
        "7.2.12+deb13-amd64",
    ]


@pytest.mark.parametrize(
    ("pattern", "inner"),
    [
        ("debian:6.12.*+deb12", ["6.12.95+deb12-amd64"]),
        ("debian:6.12.*+deb12-amd64", ["6.12.95+deb12-amd64"]),
        ("debian:6.12.96..6.12.117", ["6.12.96+deb13-amd64", "6.12.117+deb13-amd64"]),
        (
            "debian:6.12.96+deb13-amd64..6.12.117+deb13-amd64",
            ["6.12.96+deb13-amd64", "6.12.117+deb13-amd64"],
        ),
        ("debian:bookworm-backports", ["6.12.95+deb12-amd64"]),
    ],
)
def test_patterns(pattern: str, inner: list[str]) -> None:
    assert among(pattern)[1:-1] == inner


def test_a_pattern_that_no_kernel_matches() -> None:
    with pytest.raises(InputError, match=r"--among debian:5\.\*: no kernel from .* matches"):
        among("debian:5.*")


def test_a_pattern_that_only_an_end_matches() -> None:
    assert len(among("debian:6.12.9+deb13")) == 2


def test_the_other_flavour() -> None:
    assert among(first="6.12.9+deb13-cloud-amd64", last="6.12.96+deb13-cloud-amd64") == [
        "6.12.9+deb13-cloud-amd64",
        "6.12.96+deb13-cloud-amd64",
    ]


def test_the_newer_end_named_first() -> None:
    found = from_archive(archive(), (), "debian:6.12.96+deb13-amd64", "debian:6.12.90+deb13-amd64")
    assert not found.forward
    assert found.kernels[0].spec == "debian:6.12.90+deb13-amd64"


@pytest.mark.parametrize(
    ("first", "last", "message"),
    [
        ("6.12.9+deb13-amd64", "6.12.96+deb13-cloud-amd64", "two flavours"),
        ("6.12.9+deb13-amd64", "6.12.9+deb13-amd64", "same kernel"),
        ("6.12.9+deb13-amd64", "6.12.10+deb13-amd64", "does not list"),
    ],
)
def test_ends_that_are_none(first: str, last: str, message: str) -> None:
    with pytest.raises(InputError, match=message):
        among(first=first, last=last)


def test_an_end_from_elsewhere() -> None:
    with pytest.raises(InputError, match=r"vmlinuz: an end .* is a debian:RELEASE"):
        from_archive(archive(), (), "vmlinuz", "debian:6.12.9+deb13-amd64")


def test_a_list_keeps_its_order() -> None:
    specs = split_among(["a,b", "c"])
    assert specs == ("a", "b", "c")
    assert is_listed(specs) and not is_listed(("debian:6.*",)) and not is_listed(())
    assert [kernel.spec for kernel in listed(specs, "a", "c").kernels] == ["a", "b", "c"]
    assert [kernel.spec for kernel in listed(specs, "x", "y").kernels] == ["x", "a", "b", "c", "y"]
    backwards = listed(specs, "c", "a")
    assert [kernel.spec for kernel in backwards.kernels] == ["a", "b", "c"]
    assert not backwards.forward


def test_a_list_between_one_kernel_and_itself() -> None:
    with pytest.raises(InputError, match="same kernel"):
        listed(("a", "b"), "a", "a")


def test_packages_of_one_kernel_stay_together() -> None:
    assert split_among(["a.deb,b.deb", "x,y"]) == ("a.deb,b.deb", "x", "y")


def test_no_pattern() -> None:
    check_patterns(["debian:6.*", "debian:6.1-amd64"])
    with pytest.raises(InputError, match="not both"):
        check_patterns(["vmlinuz", "debian:6.*"])
