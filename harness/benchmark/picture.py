"""Cost per byte against the size of messages, as SVG: a panel a kernel, a line a way."""

from __future__ import annotations

import io
from collections.abc import Sequence

import matplotlib as mpl
from matplotlib import colormaps
from matplotlib.figure import Figure

from harness.benchmark.crossing import bytes_told
from harness.benchmark.values import Benchmark, Row

_INCHES = (5.2, 4.2)  # of a panel
_MARKERS = "os^vDPX<>*d"
_INSTEAD = "openssl"  # in the names of ways that do without AF_ALG


def picture(benchmark: Benchmark, algorithm: str, ways: Sequence[str] = ()) -> str:
    """The SVG of one algorithm; ``ways``: only these."""
    kernels = benchmark.kernels
    width, height = _INCHES
    with mpl.rc_context({"svg.hashsalt": algorithm, "svg.fonttype": "none", "font.size": 9.0}):
        figure = Figure(figsize=(width * len(kernels) + 1.6, height), layout="constrained")
        panels = figure.subplots(1, len(kernels), sharex=True, sharey=True, squeeze=False)[0]
        names = list(
            dict.fromkeys(
                row.way
                for kernel in kernels
                for row in kernel.main.rows
                if row.algorithm == algorithm and not row.missing and (not ways or row.way in ways)
            )
        )
        colours = colormaps["tab10"].colors  # type: ignore[attr-defined]
        for kernel, panel in zip(kernels, panels, strict=True):
            rows = kernel.main.rows
            for number, name in enumerate(names):
                look = (colours[number % len(colours)], _MARKERS[number % len(_MARKERS)])
                _line(panel, rows, algorithm, name, look)
            panel.set_title(kernel.release)
            panel.set_xscale("log", base=4)
            panel.set_yscale("log")
            sizes = sorted({row.size for row in rows})
            panel.set_xticks(sizes, [bytes_told(size) for size in sizes], rotation=45)
            panel.grid(visible=True, which="major", alpha=0.3)
            panel.set_xlabel("bytes of a message")
        panels[0].set_ylabel(f"{benchmark.unit} per byte")
        figure.suptitle(algorithm)
        figure.legend(*panels[0].get_legend_handles_labels(), loc="outside right center")
        written = io.StringIO()
        figure.savefig(written, format="svg", metadata={"Date": None})
    # What comes before the element is for a file of its own.
    text = written.getvalue()
    return text[text.index("<svg") :]


def _line(
    panel: object, rows: Sequence[Row], algorithm: str, way: str, look: tuple[object, str]
) -> None:
    shown = [
        row for row in rows if row.algorithm == algorithm and row.way == way and not row.missing
    ]
    panel.plot(  # type: ignore[attr-defined]
        [row.size for row in shown],
        [row.cost / row.size for row in shown],
        label=way,
        color="black" if _INSTEAD in way else look[0],
        linestyle=":" if "+" in way else "--" if _INSTEAD in way else "-",
        marker=look[1] if _INSTEAD not in way else "",
        markersize=4,
        linewidth=1.4,
    )
