"""Kconfig fragments: ours are sound, and what they ask for is held against what came of it."""

from __future__ import annotations

from pathlib import Path

import pytest

from harness.errors import BuildError, InputError
from harness.kernels.image.config import read_config
from harness.kernels.source.fragments import (
    check_granted,
    digest,
    fragment_names,
    load_fragment,
    parse_fragment,
    stacked,
)

KCONFIG = """\
mainmenu "Tiny"
config MODULES
	bool "Modules"
config NET
	bool "Net"
config CIPHER
	tristate "Cipher"
	depends on NET
"""


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """A source tree with three options."""
    (tmp_path / "Kconfig").write_text(KCONFIG)
    return tmp_path


def _config(tree: Path, *lines: str) -> Path:
    path = tree / ".config"
    path.write_text("\n".join(lines) + "\n")
    return path


@pytest.mark.parametrize("name", fragment_names())
def test_ours_are_explained(name: str) -> None:
    fragment = load_fragment(name)
    assert not fragment.whole
    options = [request.option for request in fragment.requests]
    assert len(options) == len(set(options)), "an option is asked for twice"
    previous = ""
    for line in fragment.text.splitlines():
        is_option = line.startswith("CONFIG_") or line.endswith(" is not set")
        if is_option:
            # A group of options may share one comment; a blank line ends it.
            assert previous, f"{line} has no comment above it"
        previous = line


def test_all_of_ours_are_there() -> None:
    checks = {"debug", "kcsan", "faultinjection", "coverage"}
    assert {"base", "afalg", "no-afalg", "hardened", *checks} <= set(fragment_names())


def test_fragment_of_a_user(tmp_path: Path) -> None:
    path = tmp_path / "mine"
    path.write_text(
        '# mine\nCONFIG_A=y\n# CONFIG_B is not set\nCONFIG_C="two words"\nCONFIG_D=0x10\n'
    )
    fragment = load_fragment(str(path))
    found = [(request.option, request.value) for request in fragment.requests]
    assert found == [("A", "y"), ("B", "n"), ("C", '"two words"'), ("D", "0x10")]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("CONFIG_A", "line 1: 'CONFIG_A' is neither"),
        ("# fine\nA=y", "line 2: 'A=y' is neither"),
        ("CONFIG_A=y # since 6.1", "line 1: .* is neither"),
        ("CONFIG_A=", "line 1: .* is neither"),
        ("# nothing\n", "asks for no option"),
    ],
)
def test_bad_fragment(text: str, message: str) -> None:
    with pytest.raises(InputError, match=f"^kconfig fragment mine.*{message}"):
        parse_fragment("mine", text)


def test_no_such_fragment(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"no kconfig fragment 'nome': neither a file nor .*base"):
        load_fragment("nome")
    with pytest.raises(InputError, match=f"kconfig fragment {tmp_path}: Is a directory"):
        load_fragment(str(tmp_path))
    (tmp_path / "binary").write_bytes(b"\xff\xfe")
    with pytest.raises(InputError, match=r"kconfig fragment .*binary: .*decode"):
        load_fragment(str(tmp_path / "binary"))


def test_optional_holds_for_a_group() -> None:
    text = (
        "# (if it exists)\n# and more of it\nCONFIG_A=y\nCONFIG_B=y\n"
        "# another\nCONFIG_C=y\n\n# (if it exists)\n\n# of its own\nCONFIG_D=y\n"
    )
    optional = [request.optional for request in parse_fragment("x", text).requests]
    assert optional == [True, True, False, False]


def test_later_ones_win() -> None:
    first = parse_fragment("first", "CONFIG_A=y\nCONFIG_B=y\n")
    second = parse_fragment("second", "# CONFIG_A is not set\n")
    wanted = stacked([first, second])
    assert (wanted["A"].value, wanted["A"].fragment) == ("n", "second")
    assert (wanted["B"].value, wanted["B"].fragment) == ("y", "first")


def test_digest_is_of_what_is_asked() -> None:
    one = parse_fragment("one", "# why\nCONFIG_A=y\nCONFIG_B=y\n")
    same = parse_fragment("other", "# otherwise explained\n\nCONFIG_A=y\nCONFIG_B=y\n")
    more = parse_fragment("one", "CONFIG_A=y\nCONFIG_B=m\n")
    assert digest([one]) == digest([same])
    assert digest([one]) != digest([more])
    assert digest([one, more]) != digest([more, one])


def test_granted(tree: Path) -> None:
    wanted = parse_fragment("x", "CONFIG_NET=y\nCONFIG_CIPHER=m\n# CONFIG_ODD is not set\n")
    config = _config(tree, "CONFIG_MODULES=y", "CONFIG_NET=y", "CONFIG_CIPHER=m")
    assert check_granted([wanted], config, tree) == ()
    # Without modules kconfig turns every m into y.
    assert check_granted([wanted], _config(tree, "CONFIG_NET=y", "CONFIG_CIPHER=y"), tree) == ()
    assert read_config(_config(tree, "# CONFIG_NET is not set", 'CONFIG_X=""')) == {
        "NET": "n",
        "X": '""',
    }


def test_m_is_not_y_where_there_are_modules(tree: Path) -> None:
    wanted = parse_fragment("x", "CONFIG_CIPHER=m\n")
    config = _config(tree, "CONFIG_MODULES=y", "CONFIG_NET=y", "CONFIG_CIPHER=y")
    with pytest.raises(BuildError, match=r"CONFIG_CIPHER=m \(x\) is y"):
        check_granted([wanted], config, tree)


def test_lost_option_names_what_it_lacks(tree: Path) -> None:
    wanted = parse_fragment("mine", "CONFIG_CIPHER=y\n")
    with pytest.raises(BuildError) as error:
        check_granted([wanted], _config(tree, "# CONFIG_NET is not set"), tree)
    assert str(error.value) == (
        "not configured as asked: CONFIG_CIPHER=y (mine) is n: it depends on 'NET [=n]'"
    )


def test_losses_are_cut(tree: Path) -> None:
    wanted = parse_fragment("mine", "".join(f"CONFIG_X{number}=y\n" for number in range(8)))
    with pytest.raises(BuildError, match=r"X4=y .*no such option; and 3 more$") as error:
        check_granted([wanted], _config(tree, ""), tree)
    assert "X5" not in str(error.value)


def test_optional(tree: Path) -> None:
    config = _config(tree, "# CONFIG_NET is not set")
    gone = parse_fragment("x", "# (if it exists)\nCONFIG_GONE=y\n")
    assert check_granted([gone], config, tree) == ()
    with pytest.raises(BuildError, match=r"CONFIG_GONE=y .*this tree has no such option"):
        check_granted([parse_fragment("x", "# a\nCONFIG_GONE=y\n")], config, tree)
    # One that the tree does have may not be lost.
    there = parse_fragment("x", "# (if it exists)\nCONFIG_CIPHER=y\n")
    with pytest.raises(BuildError, match="it depends on 'NET"):
        check_granted([there], config, tree)


def test_whole_config_gives_a_note(tree: Path) -> None:
    head = "#\n# Automatically generated file; DO NOT EDIT.\n# Linux/x86 7.3.0 Configuration\n#\n"
    whole = parse_fragment("/boot/config", head + "CONFIG_CIPHER=y\nCONFIG_GONE=y\n")
    assert whole.whole
    config = _config(tree, "# CONFIG_NET is not set")
    assert check_granted([whole], config, tree) == (
        "2 options of a whole config have no effect in this tree",
    )
    # What was asked for beside it must still be granted.
    with pytest.raises(BuildError, match=r"CONFIG_CIPHER=y \(mine\)"):
        check_granted([whole, parse_fragment("mine", "CONFIG_CIPHER=y\n")], config, tree)
