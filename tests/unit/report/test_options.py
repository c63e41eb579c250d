"""What a kernel is called by labels that a person gives."""

from __future__ import annotations

from dataclasses import replace

import pytest

from harness.errors import InputError
from harness.report.options import ReportOptions, called, labels_of
from tests.unit import samples

RUN = samples.main_job()
OLD, NEW = RUN.kernels


def names(*words: str) -> list[str]:
    options = ReportOptions(labels=labels_of(words, RUN.kernels))
    return [called(kernel, RUN.kernels, options) for kernel in RUN.kernels]


def test_kernels_are_called_by_their_labels() -> None:
    assert names() == [samples.OLD, samples.NEW]
    assert names("mainline") == [samples.OLD, "mainline"]
    assert names(f"{NEW.spec}=mainline", f"{OLD.release}=stable") == ["stable", "mainline"]


def test_spec_that_holds_the_sign() -> None:
    odd = replace(NEW, spec="/boot/a=b", release="7.3.4")
    assert labels_of(["/boot/a=b=x=y"], [OLD, odd]) == {"/boot/a=b": "x=y"}


@pytest.mark.parametrize("word", ["", "nosuch=label", f"{NEW.spec}="])
def test_label_of_no_kernel_is_refused(word: str) -> None:
    with pytest.raises(InputError, match="--label"):
        labels_of([word], RUN.kernels)


def test_bare_label_needs_one_candidate() -> None:
    with pytest.raises(InputError, match="KERNEL=LABEL with one of: "):
        labels_of(["label"], [OLD, NEW, NEW])
