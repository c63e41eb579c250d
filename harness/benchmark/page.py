"""A benchmark -> benchmark.html: pictures, tables, and what a count does not show."""

from __future__ import annotations

from importlib.resources import files

from jinja2 import Environment, FunctionLoader, StrictUndefined
from markupsafe import Markup

from harness.benchmark.changes import NOISE, TIMED_NOISE, changes, few_rounds
from harness.benchmark.crossing import bytes_told
from harness.benchmark.picture import picture
from harness.benchmark.table import (
    advice,
    difference,
    not_measured,
    not_offered,
    requests_told,
    rounds_told,
)
from harness.benchmark.values import CPUS, SECOND, Benchmark, Estimate, KernelCosts
from harness.guest.inside.counting import INSTRUCTIONS, NANOSECONDS

FILE_NAME = "benchmark.html"


def page(benchmark: Benchmark) -> str:
    """The page, one file."""
    kernels, first = benchmark.kernels, benchmark.first
    exact = benchmark.unit == INSTRUCTIONS
    algorithms = list(dict.fromkeys(row.algorithm for one in kernels for row in one.main.rows))
    return _ENVIRONMENT.get_template("page.html.j2").render(
        benchmark=benchmark,
        counts=[(kernel, kernel.main) for kernel in kernels],
        pictures=[(name, Markup(picture(benchmark, name))) for name in algorithms],
        advice={kernel.spec: tuple(advice(kernel.main)) for kernel in kernels},
        missing={kernel.spec: not_offered(kernel.main) for kernel in kernels},
        failures=tuple(not_measured(benchmark)),
        first=first,
        changes=[
            (kernel, changes(first.main, kernel.main))
            for kernel in benchmark.others
            if first is not None
        ],
        strings=[(kernel, _strings(kernel)) for kernel in kernels],
        cpus=CPUS,
        noise=NOISE if exact else TIMED_NOISE,
        exact=exact,
        timed=benchmark.unit == NANOSECONDS,
    )


def _strings(kernel: KernelCosts) -> list[tuple[str, str, str, float, float]]:
    """Rows whose instructions were counted twice: algorithm, way, size, and both costs."""
    second = next((count for count in kernel.counts if count.name == SECOND), None)
    if second is None:
        return []
    first = {row.key: row for row in kernel.main.rows}
    return [
        (
            row.algorithm,
            row.way,
            bytes_told(row.size),
            first[row.key].cost,
            row.cost,
        )
        for row in second.rows
        if not row.missing and not first[row.key].missing
    ]


def _between(estimate: Estimate, digits: int) -> str:
    """``5,210 (5,190 to 5,230)``."""
    low, high = f"{estimate.low:,.{digits}f}", f"{estimate.high:,.{digits}f}"
    return f"{estimate.value:,.{digits}f} ({low} to {high})"


_ENVIRONMENT = Environment(
    autoescape=True,
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
    loader=FunctionLoader(lambda name: files(__package__).joinpath(name).read_text("utf-8")),
)
_ENVIRONMENT.filters.update(
    between=_between,
    bytes=bytes_told,
    difference=difference,
    few_rounds=few_rounds,
    requests=requests_told,
    rounds=rounds_told,
)
