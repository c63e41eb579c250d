"""Makes the covering array of the shapes in which pages are handed to a request socket.

    .venv/bin/python ci/covering_array.py

Writes tests/afalg/shapes_table.py: every pair of values that can occur together occurs in it.
Run it again after a change of the dimensions in tests/afalg/shapes.py; commit what it wrote.
"""

from __future__ import annotations

import sys

import shapes
from allpairspy import AllPairs

from harness.locations import suite_dir

_HEAD = '"""The covering array of shapes.py, made by ci/covering_array.py: not edited by hand."""'


def main() -> int:
    """Make the table."""
    table = [*array("skcipher"), *array("aead", "aad", "both")]
    table.sort(key=lambda shape: (shape.who, shape.policy, shape.algorithm))
    lines = [" ".join(shapes.DIMENSIONS), *(" ".join(shape.values()) for shape in table)]
    text = f'{_HEAD}\n\nROWS = """\\\n' + "\n".join(lines) + '\n"""\n'
    target = suite_dir() / "shapes_table.py"
    target.write_text(text, encoding="utf-8")
    print(f"{len(table)} shapes in {target}")
    return 0


def array(*inputs: str) -> list[shapes.Shape]:
    """A covering array of the shapes with these inputs."""
    ciphers = shapes.AEADS if "aead" in inputs else (*shapes.SKCIPHERS, shapes.WIDE)
    dimensions = {**shapes.DIMENSIONS, "input": inputs, "algorithm": ciphers}
    # The dimension with the most values first makes the table shorter.
    order = sorted(dimensions, key=lambda name: -len(dimensions[name]))
    rows = AllPairs(
        [dimensions[name] for name in order],
        filter_func=lambda row: shapes.is_possible(dict(zip(order, row, strict=False))),
    )
    table = [shapes.Shape(**dict(zip(order, row, strict=True))) for row in rows]
    covered = {pair for shape in table for pair in shapes.pairs(shape)}
    for pair in shapes.possible_pairs(inputs):
        if pair not in covered:
            table.append(_with(pair, dimensions))
            covered |= shapes.pairs(table[-1])
    return table


def _with(pair: shapes.Pair, dimensions: dict[str, tuple[str, ...]]) -> shapes.Shape:
    """A shape with this pair that is plain otherwise, as far as it can be."""
    known = dict(pair)
    for name, values in dimensions.items():
        if name not in known:
            known[name] = next(
                value for value in values if shapes.can_be_completed({**known, name: value})
            )
    return shapes.Shape(**known)


if __name__ == "__main__":
    sys.exit(main())
