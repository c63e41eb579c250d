"""The man pages say what ``--help`` says, and man can set them."""

from __future__ import annotations

import argparse
import re
import subprocess
import sys
from collections.abc import Iterator
from importlib.metadata import packages_distributions, requires
from pathlib import Path

import pytest
from man_pages import pages, write_pages
from packaging.requirements import Requirement

from harness.cli import build_parser

_SCRIPT = Path(__file__).parents[3] / "ci/man_pages.py"


def _parsers(parser: argparse.ArgumentParser) -> Iterator[argparse.ArgumentParser]:
    yield parser
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            for command in action.choices.values():
                yield from _parsers(command)


@pytest.fixture(scope="module")
def texts(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """Name of each page -> what man shows, without line breaks."""
    paths = write_pages(tmp_path_factory.mktemp("man"), "1.2.3")
    shown = subprocess.run(  # in wide lines, and no words divided
        ["groff", "-man", "-Tascii", "-P-c", "-ww", "-rHY=0", "-rLL=300n", *paths],
        capture_output=True,
        text=True,
        check=True,
    )
    assert not shown.stderr, "man complains of it"
    bare = re.sub(".\b", "", shown.stdout)  # as printers made bold
    bodies = re.split(r"^NAME$", bare, flags=re.MULTILINE)[1:]
    return {path.stem: " ".join(body.split()) for path, body in zip(paths, bodies, strict=True)}


def test_each_command_has_a_page(texts: dict[str, str]) -> None:
    names = {parser.prog.replace(" ", "-") for parser in _parsers(build_parser())}
    assert {"afalg-harness", "afalg-harness-run", "afalg-harness-kernels-cache-list"} < names
    assert set(texts) == names


def test_a_page_has_every_option_and_argument(texts: dict[str, str]) -> None:
    for parser in _parsers(build_parser()):
        text = texts[parser.prog.replace(" ", "-")]
        for action in parser._actions:
            if isinstance(action, argparse._HelpAction | argparse._SubParsersAction):
                continue
            words = [*action.option_strings] or [str(action.metavar or action.dest)]
            for word in words:
                assert word in text.partition("DESCRIPTION")[2], (parser.prog, word)


def test_a_page_has_what_follows_the_arguments(texts: dict[str, str]) -> None:
    """Examples and notes, line by line."""
    for parser in _parsers(build_parser()):
        text = texts[parser.prog.replace(" ", "-")].casefold()
        for line in (parser.epilog or "").splitlines():
            words = " ".join(line.casefold().removesuffix(":").split())
            first = words.partition(" ")[0] if line.endswith(":") else words
            assert first in text, (parser.prog, line)


def test_pages_lead_to_pages_that_exist(texts: dict[str, str]) -> None:
    for name, text in texts.items():
        references = re.findall(r"(afalg-harness[a-z-]*)\(1\)", text.partition(" SEE ALSO ")[2])
        assert references, name
        assert set(references) <= set(texts)
    assert "afalg-harness-run(1)" in texts["afalg-harness"]
    assert "usage:" not in texts["afalg-harness"], "a command has a page of its own"


def test_help_that_begins_a_line_like_a_request_of_roff() -> None:
    parser = argparse.ArgumentParser("p", epilog="example:\n  x\n\n.so /etc/passwd\n'tis \\fB -x")
    parser.add_argument("--o", help="'quoted' at the beginning")
    ((_, text),) = pages(parser, "1")
    assert "\n\\&.so /etc/passwd\n\\&'tis \\efB \\-x\n" in text
    assert "\n\\&'quoted' at" in text


def test_a_page_is_the_same_on_any_day() -> None:
    first, second = (list(pages(build_parser(), "1.2.3")) for _ in range(2))
    assert first == second
    header = dict(first)["afalg-harness"].splitlines()[0]
    assert header == r'.TH AFALG\-HARNESS "1" " " "afalg\-harness 1.2.3" "AF_ALG harness"'


def test_by_hand(tmp_path: Path) -> None:
    """What its docstring says; it needs nothing of what the harness is built on."""
    requirements = [Requirement(each) for each in requires("afalg-harness") or ()]
    needed = {each.name for each in requirements if each.marker is None}
    names = packages_distributions()
    modules = [module for module, packages in names.items() if needed & {*packages}]
    assert {"rich", "cattrs", "platformdirs", "virtme"} < {*modules}
    blocked = "".join(f"sys.modules[{module!r}] = None\n" for module in modules)
    code = f"import runpy, sys; sys.argv[1:] = [{str(tmp_path)!r}]\n{blocked}"
    code += f"runpy.run_path({str(_SCRIPT)!r}, run_name='__main__')\n"
    subprocess.run([sys.executable, "-c", code], stdout=subprocess.DEVNULL, check=True)
    assert (tmp_path / "afalg-harness-run.1").is_file()
