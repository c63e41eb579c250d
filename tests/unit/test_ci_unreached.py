"""What did not run of a kernel's source, and how the table of it is held against a run."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from unreached import Counted, contradictions, read_counts, read_table

SOURCE = """\
static const struct proto_ops ops = {
	.bind = bind(0),
};

static int af_alg_bind(struct socket *sock,
\t\t       int length)
{
	if (length)
		return -EINVAL;
	if (!sock || !key)
		return -EINVAL;
	return 0;
}

EXPORT_SYMBOL_GPL(af_alg_bind);
static u8 keys[] = {};

static const u8 *af_alg_exit(void)
{
	proto_unregister(&alg_proto);
	return NULL;
}
"""
#: Line -> runs and how often each branch was taken: the second check never failed, and
#: nothing called the second function.
COUNTS: dict[int, tuple[int, tuple[int, ...]]] = {
    5: (9, ()),
    8: (9, (2, 7)),
    9: (2, ()),
    10: (7, (7, 0, 3, 4)),
    11: (0, ()),
    12: (7, ()),
    18: (0, ()),
    20: (0, ()),
    21: (0, ()),
}
TABLE = """
[[unreached]]
why = "a socket is always there"
file = "af_alg.c"
function = "af_alg_bind"
lines = ["return -EINVAL; [2]"]
branches = { "if (!sock || !key)" = [1] }

[[unreached]]
why = "built in"
file = "af_alg.c"
function = "af_alg_exit"
lines = "all"
"""


def report(counts: dict[int, tuple[int, tuple[int, ...]]]) -> dict[str, Any]:
    """As gcovr writes it."""
    lines = [
        {
            "line_number": number,
            "function_name": "f",
            "count": runs,
            "branches": [
                {"branchno": 2 * way, "count": taken} for way, taken in enumerate(branches)
            ],
        }
        for number, (runs, branches) in counts.items()
    ]
    return {"files": [{"file": "crypto/af_alg.c", "lines": lines}]}


@pytest.fixture
def source(tmp_path: Path) -> Path:
    """A tree with that file."""
    (tmp_path / "crypto").mkdir()
    (tmp_path / "crypto/af_alg.c").write_text(SOURCE)
    return tmp_path


def counted(source: Path, **other: tuple[int, tuple[int, ...]]) -> tuple[Counted, ...]:
    """The counts, those of the lines in ``other`` (``line10=...``) replaced."""
    changed = {int(name.removeprefix("line")): value for name, value in other.items()}
    return read_counts(report(COUNTS | changed), source)


def held(table: str, files: tuple[Counted, ...], series: str = "7.3") -> list[str]:
    return list(contradictions(read_table(table, series), files))


def test_counts_of_a_file(source: Path) -> None:
    (file,) = counted(source)
    assert (file.name, file.lines_run, len(file.lines)) == ("af_alg.c", 5, 9)
    assert (file.branches_taken, file.branches) == (5, 6)


def test_what_was_missed_is_named_by_function_and_text(source: Path) -> None:
    (file,) = counted(source)
    named = {str(spot): line for spot, line in file.missed().items()}
    assert named == {
        "af_alg.c: af_alg_bind(): if (!sock || !key), branch 1": 10,
        "af_alg.c: af_alg_bind(): return -EINVAL; [2]": 11,
        "af_alg.c: af_alg_exit(): static const u8 *af_alg_exit(void)": 18,
        "af_alg.c: af_alg_exit(): proto_unregister(&alg_proto);": 20,
        "af_alg.c: af_alg_exit(): return NULL;": 21,
    }


def test_a_table_that_agrees(source: Path) -> None:
    assert held(TABLE, counted(source)) == []


def test_what_is_not_listed_is_said(source: Path) -> None:
    assert held(TABLE, counted(source, line12=(0, ()), line8=(9, (9, 0)))) == [
        "not reached, and not listed: line 8 of af_alg.c: af_alg_bind(): if (length), branch 1",
        "not reached, and not listed: line 12 of af_alg.c: af_alg_bind(): return 0;",
    ]


def test_what_runs_by_luck_may_run(source: Path) -> None:
    ran = counted(source, line11=(1, ()))
    assert any("return -EINVAL; [2]" in told for told in held(TABLE, ran))
    table = TABLE.replace("[[unreached]]", "[[unreached]]\nsometimes = true")
    assert not any("return -EINVAL; [2]" in told for told in held(table, ran))
    assert not any("return -EINVAL; [2]" in told for told in held(table, counted(source)))


def test_what_is_listed_but_ran_is_said(source: Path) -> None:
    ran = counted(source, line10=(7, (7, 1, 3, 4)), line11=(1, ()), line20=(1, ()))
    assert held(TABLE, ran) == [
        "listed, but reached: af_alg.c: af_alg_bind(): if (!sock || !key), branch 1",
        "listed, but reached: af_alg.c: af_alg_bind(): return -EINVAL; [2]",
        "listed, but reached: af_alg.c: af_alg_exit(): proto_unregister(&alg_proto);",
    ]


def test_what_the_source_does_not_have_is_said(source: Path) -> None:
    table = TABLE.replace("!key", "!keys").replace("af_alg_exit", "af_alg_end")
    told = held(table, counted(source))
    assert "listed, but not in the source: af_alg.c: af_alg_end()" in told
    assert (
        "listed, but not in the source: af_alg.c: af_alg_bind(): if (!sock || !keys), branch 1"
        in told
    )


def test_branches_of_a_line_that_did_not_run_are_part_of_it(source: Path) -> None:
    told = held(TABLE, counted(source, line8=(0, (0, 0))))
    assert told == ["not reached, and not listed: line 8 of af_alg.c: af_alg_bind(): if (length)"]


def test_listed_twice(source: Path) -> None:
    told = held(TABLE + TABLE, counted(source))
    assert "listed twice: af_alg.c: af_alg_bind(): return -EINVAL; [2]" in told


def test_entries_of_other_series_do_not_count(source: Path) -> None:
    other = TABLE.replace('why = "built in"', 'why = "built in"\nseries = ["6.12"]')
    assert held(other, counted(source), "6.12") == []
    assert len(held(other, counted(source), "7.3")) == 3


def test_copies_of_a_line_are_one_line(source: Path) -> None:
    """Of an inlined function every caller has one, and only some of them may run."""
    counts = report(COUNTS)
    lines = counts["files"][0]["lines"]
    lines.append(
        {
            "line_number": 10,
            "function_name": "g",
            "count": 1,
            "branches": [
                {"branchno": 2 * way, "count": taken} for way, taken in enumerate((0, 1, 0, 0))
            ],
        }
    )
    lines.append({"line_number": 11, "function_name": "g", "count": 1, "branches": []})
    lines.append({"line_number": 13, "count": 0, "branches": [], "gcovr/excluded": True})
    (file,) = read_counts(counts, source)
    assert file.lines_run == 6
    assert len(file.lines) == 9
    assert {line.number: line.branches for line in file.lines}[10] == (7, 1, 3, 4)


@pytest.mark.parametrize(
    "item",
    [
        'file = "af_alg.c"\nfunction = "f"\nlines = "all"',
        'why = "x"\nfile = "af_alg.c"\nfunction = "f"',
        'why = "x"\nfile = "af_alg.c"\nfunction = "f"\nline = ["y"]\nlines = ["z"]',
        'why = "x"\nfile = "af_alg.c"\nfunction = "f"\nlines = "some"',
    ],
)
def test_bad_entries(item: str) -> None:
    with pytest.raises(ValueError, match=r"lines are a list|not an entry"):
        read_table(f"[[unreached]]\n{item}\n", "7.3")
