"""``kernels map``: states over versions as a table, a picture and data."""

from __future__ import annotations

import csv
import io
import json
import re

import pytest
from rich.console import Console

from harness.judge.facts import NAMES, way_of
from harness.known_states import in_order, newer, of_runs
from harness.model import CodeWord, State
from harness.report.html.picture import paths_picture
from harness.report.kernel_map import FORMATS, SIGNS, print_map
from harness.report.state_map import CODE_WORDS, KernelStates, path_columns
from tests.stored_runs import stored_run

COPYING = ("6.1.0-50", "6.12.96", "6.12.117", "7.1.13", "7.2.12", "7.3.4")
SHARING = ("6.12.43", "6.12.95", "6.18.15", "6.19.14", "7.0.13", "7.1.3")


@pytest.fixture(scope="module")
def observed() -> tuple[KernelStates, ...]:
    """The twelve kernels of the stored run."""
    return in_order(of_runs([stored_run()]))


FETCHED = KernelStates(
    "6.12.90+deb13-amd64",
    "6.12.90+deb13-amd64",
    {},
    {
        "skcipher.input": CodeWord.CAN,
        "aead.input": CodeWord.CAN,
        "hash.input": CodeWord.SILENT,
        "skcipher.output": CodeWord.CAN,
        "rng.output": CodeWord.CANNOT,
    },
)


def printed(kernels: tuple[KernelStates, ...], width: int = 80, *, terminal: bool = True) -> str:
    file = io.StringIO()
    print_map(kernels, Console(file=file, width=width, force_terminal=terminal, color_system=None))
    return file.getvalue()


def states(text: str, kernel: str) -> list[str]:
    """The words of one row."""
    (row,) = [line for line in text.splitlines() if line.startswith(kernel)]
    return row.split()[1:]


def test_versions_go_downwards(observed: tuple[KernelStates, ...]) -> None:
    names = [line.split()[0] for line in printed(observed).splitlines() if "amd64" in line]
    assert [name.partition("+")[0] for name in names] == [
        "6.1.0-50-amd64",
        *("6.12.43", "6.12.95", "6.12.96", "6.12.117", "6.18.15", "6.19.14"),
        *("7.0.13", "7.1.3", "7.1.13", "7.2.12", "7.3.4"),
    ]


def test_known_truth_can_be_read_off(observed: tuple[KernelStates, ...]) -> None:
    """Column A is input, as the known truth has it; the last is the page cache."""
    text = printed(observed)
    for word, versions in (("absent", COPYING), ("present", SHARING)):
        for version in versions:
            assert states(text, version)[0] == word, version
    assert states(text, "6.18.15")[-1] == "present"
    assert states(text, "6.19.14")[-1] == "absent"


@pytest.mark.parametrize("width", [60, 80, 120])
def test_no_line_is_wider_than_the_terminal(observed: tuple[KernelStates, ...], width: int) -> None:
    lines = printed(in_order((*observed, FETCHED)), width).splitlines()
    assert len(lines) > 13
    # One sentence of the legend is wrapped by the terminal itself where it is that narrow.
    assert all(len(line) <= max(width, 80) for line in lines)
    assert all(len(line) <= width for line in lines if "amd64" in line)


def test_paths_that_are_alike_share_a_column(observed: tuple[KernelStates, ...]) -> None:
    columns = path_columns(observed)
    assert len(columns) == 5
    assert columns[0].label == (
        "skcipher input (12 ways); aead input (12 ways); aead_aad input (11 ways)"
    )
    named = [name for column in columns for name in column.names]
    assert len(named) == len(set(named)) == 47


def test_a_path_that_differs_has_a_column_with_its_name(
    observed: tuple[KernelStates, ...],
) -> None:
    path = "zero_copy.aead.sendfile"
    odd = observed[-1]
    odd = KernelStates(odd.name, odd.release, {**odd.states, path: State.PRESENT})
    columns = path_columns((*observed[:-1], odd))
    assert [column.label for column in columns if column.names == (path,)] == [
        "aead input by sendfile"
    ]
    assert "aead input (11 of 12 ways)" in columns[0].label


def test_code_alone_has_words_of_its_own(observed: tuple[KernelStates, ...]) -> None:
    kernels = in_order((*observed, FETCHED))
    text = printed(kernels, 100)
    assert "13 kernels, 1 of them by their code alone" in text
    assert states(text, "6.12.90")[0] == "can"
    assert "never ran here" in text
    assert "never ran here" not in printed(observed)


def test_code_alone_knows_every_path() -> None:
    (kernel,) = json.loads("".join(FORMATS["json"]([FETCHED])))
    inputs = [name for name in NAMES if way_of(name) == "skcipher.input"]
    assert {kernel["states"][name] for name in inputs} == {"can"}
    assert kernel["from"] == "code"
    assert "page_cache_write" not in kernel["states"]


def test_signs_where_words_have_no_room(observed: tuple[KernelStates, ...]) -> None:
    text = printed(in_order((*observed, FETCHED)), 50)
    assert states(text, "6.12.95")[0] == "P"
    assert states(text, "6.12.96")[0] == "a"
    assert states(text, "6.12.90")[0] == "P?"
    assert re.search(r"a absent, .*P present", text)
    every = {*map(str, (State.PRESENT, State.ABSENT, State.UNKNOWN, State.UNREACHABLE))}
    assert {*every, *CODE_WORDS.values()} <= SIGNS.keys()


def test_what_fits_beside_nothing_goes_into_another_table() -> None:
    """Each path in a state of its own pattern: more columns than 80 characters hold."""
    paths = [name for name in NAMES if name.startswith("zero_copy.")]
    kernels = tuple(
        KernelStates(
            f"6.12.{number}+deb13-cloud-amd64",
            f"6.12.{number}",
            {
                path: State.PRESENT if place >> number & 1 else State.ABSENT
                for place, path in enumerate(paths)
            },
        )
        for number in range(6)
    )
    lines = printed(kernels).splitlines()
    heads = [line for line in lines if line.startswith("KERNEL")]
    assert len(heads) > 1
    assert "AA" in heads[1]
    assert sum(len(head.split()) - 1 for head in heads) == len(path_columns(kernels))
    assert all(len(line) <= 80 for line in lines if line.startswith(("KERNEL", "6.12")))


def test_what_is_no_terminal_gets_whole_lines(observed: tuple[KernelStates, ...]) -> None:
    assert "unreachable" in printed(observed, 40, terminal=False)


def test_csv_has_a_column_for_each_path(observed: tuple[KernelStates, ...]) -> None:
    rows = list(csv.DictReader(io.StringIO("".join(FORMATS["csv"](observed)))))
    assert len(rows) == 12
    assert rows[1]["kernel"] == "6.12.43+deb12-amd64"
    assert rows[1]["zero_copy.skcipher.splice_file"] == "present"
    assert rows[1]["page_cache_write"] == "present"
    assert {row["from"] for row in rows} == {"run"}
    assert rows[0]["run"] == stored_run().id


def test_html_has_picture_and_table(observed: tuple[KernelStates, ...]) -> None:
    page = "".join(FORMATS["html"](in_order((*observed, FETCHED))))
    assert page.count("<svg") == 1
    assert page.count('<th scope="row">') == 13
    assert "<script" not in page
    assert "script-src &#39;none&#39;" in page
    assert "its code" in page


def test_picture_has_kernels_downwards(observed: tuple[KernelStates, ...]) -> None:
    drawn = paths_picture(observed)
    assert drawn is not None
    places = [tick.place for tick in drawn.kernels]
    assert places == sorted(set(places))
    (lane,) = [lane for lane in drawn.lanes if lane.label == "page_cache_write"]
    assert [bar.word for bar in lane.bars] == ["absent", "present", "absent", "present", "absent"]


def test_a_newer_run_tells_more_and_forgets_nothing() -> None:
    old = KernelStates(
        "6.1", "6.1", {"a": State.PRESENT, "b": State.ABSENT, "c": State.ABSENT}, run="1"
    )
    new = KernelStates("6.1", "6.1", {"a": State.ABSENT, "b": State.UNKNOWN}, run="2")
    both = newer(old, new)
    assert both.states == {"a": State.ABSENT, "b": State.ABSENT, "c": State.ABSENT}
    assert both.run == "2"
    assert newer(None, new) is new


def test_columns_stand_in_one_order_wherever_states_come_from(
    observed: tuple[KernelStates, ...],
) -> None:
    """A store gives its facts by name."""
    by_name = tuple(
        KernelStates(one.name, one.release, dict(sorted(one.states.items()))) for one in observed
    )
    assert [column.names for column in path_columns(by_name)] == [
        column.names for column in path_columns(observed)
    ]
