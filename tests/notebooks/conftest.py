"""Notebooks are replayed side by side, each on a core of its own."""

import os


def pytest_configure(config):
    worker = os.environ.get("PYTEST_XDIST_WORKER", "")
    if config.getoption("nbval", False) and worker and hasattr(os, "sched_setaffinity"):
        cores = sorted(os.sched_getaffinity(0))
        os.sched_setaffinity(0, {cores[int(worker.removeprefix("gw")) % len(cores)]})
