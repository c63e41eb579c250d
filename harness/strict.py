"""JSON values -> typed values, taking nothing for what it is not."""

from __future__ import annotations

import math
from enum import Enum
from typing import Any, get_args, get_origin

import cattrs

#: What structuring a malformed value raises.
MALFORMED = (cattrs.BaseValidationError, TypeError, ValueError, KeyError, AttributeError)


def strict_converter() -> cattrs.Converter:
    """A converter that takes no text for a number, no number for a truth, no text for a list."""
    converter = cattrs.Converter()
    for kind in (str, int, float, bool):
        converter.register_structure_hook(kind, _exact)
    _structure_tuples(converter)
    return converter


def problem(error: Exception) -> str:
    """The first thing that is wrong, in one line."""
    return str(cattrs.transform_error(error, path="$")[0])


def _exact(value: Any, kind: type[Any]) -> Any:
    """Accept a JSON value of just that type."""
    if issubclass(kind, Enum):
        return kind(value)
    allowed = (int, float) if kind is float else kind
    if not isinstance(value, allowed) or (isinstance(value, bool) and kind is not bool):
        raise ValueError(f"expected {kind.__name__}, found {value!r}")
    if kind is float and not math.isfinite(value):
        raise ValueError(f"expected a finite number, found {value!r}")
    return kind(value)


def _structure_tuples(converter: cattrs.Converter) -> None:
    """Make tuples of lists alone: a text is also a series of its letters."""

    list_of: Any = list

    def structure(value: Any, kind: Any) -> Any:
        if not isinstance(value, list):
            raise ValueError(f"expected a list, found {value!r}")
        return tuple(converter.structure(value, list_of[get_args(kind)[0]]))

    converter.register_structure_hook_func(_is_tuple, structure)


def _is_tuple(kind: Any) -> bool:
    return get_origin(kind) is tuple and get_args(kind)[1:] == (...,)
