"""States of the zero-copy paths over many kernels as one page that needs nothing else."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from markupsafe import Markup

from harness.report.html.page import ENVIRONMENT, content_policy, resource
from harness.report.html.picture import paths_picture
from harness.report.state_map import KernelStates, path_columns


def page(kernels: Sequence[KernelStates], sentence: str) -> Iterator[str]:
    """The page in pieces; ``sentence`` heads it, the oldest of the ``kernels`` comes first."""
    style = resource("style.css")
    return ENVIRONMENT.get_template("map.html.j2").generate(
        sentence=sentence,
        kernels=kernels,
        columns=path_columns(kernels),
        picture=paths_picture(kernels),
        policy=content_policy(style),
        style=Markup(style),
    )
