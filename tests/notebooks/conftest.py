"""Notebooks are replayed side by side, each on a core of its own, by kernels that save time."""

import os
import tempfile
from pathlib import Path

# Workers are forks of the kernel, which has imported torch; networks of features are read once.
STARTUP = """
import sys
sys.path.insert(0, {tests!r})
import conftest
conftest.loky.ProcessPoolExecutor = conftest.Forked
sys.path.remove({tests!r})
del sys, conftest
"""


def pytest_configure(config):
    if not config.getoption("nbval", False):
        return
    folder = os.environ.get("GANZIP_RUNS") or tempfile.mkdtemp(prefix="nbval-")
    os.environ["IPYTHONDIR"] = str(Path(folder, "ipython").resolve())
    startup = Path(os.environ["IPYTHONDIR"], "profile_default", "startup", "forked.py")
    startup.parent.mkdir(parents=True, exist_ok=True)
    startup.write_text(STARTUP.format(tests=str(Path(__file__).resolve().parents[1])))
    worker = os.environ.get("PYTEST_XDIST_WORKER", "")
    if worker and hasattr(os, "sched_setaffinity"):
        cores = sorted(os.sched_getaffinity(0))
        os.sched_setaffinity(0, {cores[int(worker.removeprefix("gw")) % len(cores)]})
