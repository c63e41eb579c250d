"""Alterations of C code: what the operators make of it, and how a sample of them is drawn."""

from __future__ import annotations

import mutants
import pytest
from mutant_conditions import Fault
from mutants import ZERO_COPY_BASE, Mutant, Sample

CODE = """\
#include <linux/atomic.h>
static int busy = 1;

static int send(struct socket *sock, struct msghdr *msg, size_t size,
\t\tunsigned int flags)
{
\tstruct sock *sk = sock->sk;
\tstruct ctx *ctx = sk->private;
\tstruct page *page;
\tint err;

\terr = -EINVAL;
\tlock_sock(sk);
\tif (ctx->used && size)
\t\tgoto unlock;

\tpage = take(ctx);
\tput_page(page);
\treturn 0;
unlock:
\trelease_sock(sk);
\treturn err;
}
EXPORT_SYMBOL_GPL(send);

static void drop(void *private)
{
\tfree(private);
}
"""


def made_of(line: str, code: str = CODE) -> list[str]:
    """What the operators make of one line."""
    return [one.new for one in mutants.line_mutants("x.c", code) if one.old == line]


def test_a_condition_is_turned_round_and_its_operator_swapped() -> None:
    assert made_of("\tif (ctx->used && size)") == [
        "\tif (!(ctx->used && size))",
        "\tif (ctx->used || size)",
    ]


def test_an_errno_and_a_statement() -> None:
    assert made_of("\terr = -EINVAL;") == ["\terr = -EIO;", "\t;"]
    assert made_of("\tput_page(page);") == ["\t;"]
    assert made_of("\treturn 0;") == ["\treturn -EIO;"]


def test_locks_and_what_is_no_code_is_left_alone() -> None:
    altered = {one.old for one in mutants.line_mutants("x.c", CODE)}
    assert not [line for line in altered if "lock_sock" in line or line.startswith("#")]
    assert "static int busy = 1;" not in altered


def test_function_at() -> None:
    lines = CODE.split("\n")
    assert mutants.function_at(CODE, lines.index("\tput_page(page);") + 1) == ("send", 4)
    assert mutants.function_at(CODE, lines.index("\tfree(private);") + 1)[0] == "drop"
    assert mutants.function_at(CODE, 2) == ("", 0)


def test_in_scope_is_what_has_a_value() -> None:
    at = CODE.split("\n").index("\tif (ctx->used && size)") + 1
    known = mutants.in_scope(CODE, at)
    assert {"sock", "msg", "size", "flags", "sk", "ctx", "err"} <= known
    assert "page" not in known  # declared, but has no value yet
    assert mutants.in_scope(CODE, 2) == frozenset()


def under(name: str, line: str) -> list[str]:
    """What is made of a line under the condition of that name."""
    return [
        one.new
        for one in mutants.condition_mutants("af_alg.c", CODE)
        if one.old == line and one.name == name
    ]


def test_under_a_condition_an_if_is_turned_round() -> None:
    assert under("when decrypting", "\tif (ctx->used && size)") == [
        "\tif (!!(ctx->used && size) != !!(!ctx->enc))"
    ]


def test_under_a_condition_a_statement_is_left_out() -> None:
    assert under("of messages above 64 KiB", "\tput_page(page);") == [
        "\tif (!(size > 65536)) put_page(page);"
    ]
    # A declaration stays one.
    assert under("of messages above 64 KiB", "\tstruct ctx *ctx = sk->private;") == []


def test_a_condition_needs_its_names_in_scope() -> None:
    names = {one.name for one in mutants.condition_mutants("af_alg.c", CODE)}
    assert "with a key above 32 bytes" not in names  # there is no keylen
    in_drop = [one.name for one in mutants.condition_mutants("af_alg.c", CODE) if "free" in one.old]
    assert "for the unprivileged" in in_drop
    assert "when decrypting" not in in_drop


def test_applied_replaces_the_lines_and_no_others() -> None:
    mutant = Mutant("fault", "x.c", 18, "\tput_page(page);\n\treturn 0;", "\treturn 0;")
    text = mutant.applied({"x.c": CODE})
    assert text == CODE.replace("\tput_page(page);\n", "")
    with pytest.raises(AssertionError, match="reads otherwise"):
        Mutant("line", "x.c", 3, "\tput_page(page);", "\t;").applied({"x.c": CODE})


MERGED = """\
#include <linux/atomic.h>
int af_alg_sendmsg(struct socket *sock, struct msghdr *msg)
{
\tbool init = false;
\tctx->init = true;
\twhile (size) {
\t\tssize_t plen;
\t\tif (ctx->merge && !(msg->msg_flags & MSG_SPLICE_PAGES)) {
\t\t\tcontinue;
\t\t}
\t\tif (msg->msg_flags & MSG_SPLICE_PAGES) {
\t\t\ttake();
\t\t}
\t}
}
static void set(void)
{
\talg_sk(sk2)->type = type;
\terr = type->setkey(ask->private, key_data, key_datalen);
}
"""


def test_the_base_of_zero_copy_never_takes_pages_by_reference() -> None:
    base = mutants.zero_copy_base(MERGED)
    assert "\t\t\t(false);" in base.split("\n")
    assert "if (by_reference) {" in base
    assert "if (ctx->merge && !by_reference) {" in base
    with pytest.raises(AssertionError, match="is there 0 times"):
        mutants.zero_copy_base(CODE)


def test_zero_copy_under_a_condition_differs_from_its_base_in_that_condition() -> None:
    base = mutants.zero_copy_base(MERGED)
    every = {one.name: one for one in mutants.zero_copy_mutants(base)}
    mutant = every["when decrypting"]
    altered = mutant.applied({ZERO_COPY_BASE: base}).split("\n")
    different = [new for new, old in zip(altered, base.split("\n"), strict=True) if new != old]
    assert different == ["\t\t\t(!ctx->enc);"]


def test_conditions_of_different_dimensions_are_paired() -> None:
    names = {one.name for one in mutants.zero_copy_mutants(mutants.zero_copy_base(MERGED))}
    assert "when decrypting, and for the unprivileged" in names
    assert not [name for name in names if "when decrypting, and when encrypting" in name]
    assert not [name for name in names if "of one segment, and" in name]  # stands alone


def test_a_fault_is_found_by_whole_lines(monkeypatch: pytest.MonkeyPatch) -> None:
    fault = Fault("lost", "x.c", "\tput();", "\t;")
    monkeypatch.setattr(mutants, "FAULTS", (fault,))
    (mutant,) = mutants.fault_mutants({"x.c": "f()\n{\n\t\tput();\n\tput();\n}\n"})
    assert mutant.line == 4
    with pytest.raises(AssertionError, match="lost: 0 times"):
        list(mutants.fault_mutants({"x.c": "f()\n{\n\t\tput();\n}\n"}))


def some(kind: str, count: int, each: int = 1) -> list[Mutant]:
    return [
        Mutant(kind, "x.c", line, "old", f"new {number}", f"{kind} {line}")
        for line in range(count)
        for number in range(each)
    ]


EVERY = {
    "line": some("line", 50, each=3),
    "zero_copy": some("zero_copy", 50),
    "condition": some("condition", 50),
    "fault": some("fault", 50),
}


def test_a_sample_has_each_kind_by_its_share() -> None:
    drawn = list(Sample(EVERY, 40, seed=1))
    counts = {kind: sum(one.kind == kind for one in drawn) for kind in EVERY}
    assert counts == {"line": 16, "zero_copy": 10, "condition": 10, "fault": 4}
    assert len(set(drawn)) == 40


def test_a_sample_depends_on_its_seed_alone() -> None:
    drawn = [list(Sample(EVERY, 30, seed)) for seed in (1, 1, 2)]
    assert drawn[0] == drawn[1]
    assert drawn[0] != drawn[2]


def test_a_line_comes_once_before_any_comes_twice() -> None:
    drawn = [one.line for one in Sample({"line": EVERY["line"]}, 51, seed=1)]
    assert len(set(drawn[:50])) == 50
    assert drawn[50] in drawn[:50]


def test_every_third_of_zero_copy_is_a_pair() -> None:
    alone = some("zero_copy", 4)
    pairs = [Mutant("zero_copy", "x.c", 1, "", "", f"one {n}, and other") for n in range(4)]
    drawn = list(Sample({"zero_copy": alone + pairs}, 8, seed=1))
    assert [one in pairs for one in drawn] == [False, False, True, False, False, True, True, True]


def test_a_kind_that_has_run_out_gives_its_places_up() -> None:
    every = {"line": some("line", 50), "fault": some("fault", 1)}
    drawn = list(Sample(every, 20, seed=1))
    assert len(drawn) == 20
    assert sum(one.kind == "fault" for one in drawn) == 1


def test_instead_of_a_refused_mutant_comes_another_of_its_kind() -> None:
    sample = Sample(EVERY, 4, seed=1)
    drawn = list(sample)
    other = sample.instead(drawn[0])
    assert other is not None
    assert other.kind == drawn[0].kind
    assert other not in drawn
    last = Sample({"fault": some("fault", 1)}, 1, seed=1)
    (only,) = last
    assert last.instead(only) is None
