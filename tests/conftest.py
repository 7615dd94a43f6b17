import functools
import multiprocessing
import os
import warnings

import pytest
import torch
from joblib.externals import loky

from ganzip import features

os.environ.setdefault("OMP_NUM_THREADS", "1")

# Units read a network of features anew, half a second each; it is frozen, and draws nothing.
features._lite = functools.cache(features._lite)


@pytest.fixture(autouse=True)
def one_thread():
    torch.set_num_threads(1)
    torch.manual_seed(0)


@pytest.fixture
def no_data_folder(monkeypatch, tmp_path):
    """Sets come from tmp_path only, whatever the environment and the machine hold."""
    monkeypatch.delenv("GANZIP_DATA", raising=False)
    monkeypatch.setattr("ganzip.data.named.DEBIAN_FASHION", tmp_path / "debian")


@pytest.fixture(scope="module")
def small_features():
    """A few layers in the place of EfficientNet-Lite, for tests of what is done with features."""
    from tests import plans

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(features, "_lite", plans.lite)
        yield


class Forked(loky.ProcessPoolExecutor):
    """Workers that are forked and need not import torch."""

    def __init__(self, n_jobs, *, env, **how):
        super().__init__(n_jobs, context=multiprocessing.get_context("fork"), **how)


@pytest.fixture
def forked(monkeypatch):
    """Units in other processes are done by forks of this one."""
    monkeypatch.setattr(loky, "ProcessPoolExecutor", Forked)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # newer Pythons warn of a fork beside threads
        yield multiprocessing.get_context("fork")
