"""A kernel's share of a run as a value."""

from __future__ import annotations

import pickle

from harness.guest.schedule import Limits
from harness.job import KernelJob
from harness.model import Role


def test_a_job_can_be_sent_anywhere() -> None:
    job = KernelJob("debian:x", Role.BASELINE, 30.0, append=("a",), limits=Limits(3, 2))
    assert pickle.loads(pickle.dumps(job)) == job
    assert hash(job)
