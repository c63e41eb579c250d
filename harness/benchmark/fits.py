"""Costs of messages of several sizes -> so much a message, and so much a byte.

Weighted least squares: sizes differ by a factor of 65,536, and a message of 16 bytes is to count
as much as one of a mebibyte, so each row's distance from the line is measured in parts of its
cost. The intervals are Student's, for the straight line; what a way does for each page or for
each sixteen of them bends it a little, and that they show.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np
from scipy import stats

from harness.benchmark.values import Estimate, Fit, Row

_CONFIDENCE = 0.95
_LEAST = 3  # rows that a line with an interval needs


def fits(rows: Iterable[Row]) -> tuple[Fit, ...]:
    """A line for each way of each algorithm that has rows enough."""
    groups: dict[tuple[str, str], list[Row]] = {}
    for row in rows:
        if not row.missing:
            groups.setdefault((row.algorithm, row.way), []).append(row)
    return tuple(_fit(*key, group) for key, group in groups.items() if len(group) >= _LEAST)


def _fit(algorithm: str, way: str, rows: Sequence[Row]) -> Fit:
    sizes, costs = [row.size for row in rows], [row.cost for row in rows]
    message, byte = line(sizes, costs, costs)
    off = max(
        abs(message.value + byte.value * size - cost) / cost
        for size, cost in zip(sizes, costs, strict=True)
    )
    return Fit(algorithm, way, message, byte, round(off, 4))


def line(
    sizes: Sequence[int], values: Sequence[float], scales: Sequence[float]
) -> tuple[Estimate, Estimate]:
    """Intercept and slope of ``values`` over ``sizes``, each value off by a part of its scale."""
    x, y, weights = np.array(sizes, float), np.array(values, float), 1 / np.array(scales, float)
    design = np.stack([np.ones_like(x), x], axis=1) * weights[:, None]
    found, *_ = np.linalg.lstsq(design, y * weights, rcond=None)
    rest = y * weights - design @ found
    freedom = len(x) - 2
    variance = float(rest @ rest) / freedom
    covariance = variance * np.linalg.inv(design.T @ design)
    quantile = float(stats.t.ppf((1 + _CONFIDENCE) / 2, freedom))
    message, byte = (
        Estimate(
            float(value),
            float(value - quantile * np.sqrt(covariance[at, at])),
            float(value + quantile * np.sqrt(covariance[at, at])),
        )
        for at, value in enumerate(found)
    )
    return message, byte
