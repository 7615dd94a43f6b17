"""Optional packages: a clear error where one is missing, torchvision beside a CPU-only torch."""

import importlib
import sys
from types import ModuleType

import torch

# A Library takes its operators away when it is collected.
_declared: list[torch.library.Library] = []


def optional(module: str, remedy: str) -> ModuleType:
    """Import a module that a part of ganzip needs; ImportError says ``remedy`` if it is absent."""
    try:
        return importlib.import_module(module)
    except ModuleNotFoundError as error:
        # A package that is there and lacks one of its own needs speaks for itself.
        if error.name is None or error.name.split(".")[0] != module.split(".")[0]:
            raise
        raise ImportError(f"package {error.name!r} is not installed: {remedy}") from error


def ensure_torchvision() -> None:
    """Import torchvision, or make it importable; called before anything that imports it.

    The registry's wheel for Linux is built for CUDA. Beside a CPU-only torch its compiled operators
    cannot load, and its Python code then fails to describe two operators that nobody declared
    (pytorch/vision issue 9085). Declaring them is enough for transforms, models and data sets;
    ``torchvision.ops.nms`` and ``torchvision.io`` stay out of order.
    """
    remedy = "pip install 'ganzip[metrics]'"
    try:
        optional("torchvision", remedy)
    except RuntimeError as error:
        if "torchvision::nms" not in str(error):
            raise
        for name in [name for name in sys.modules if name.partition(".")[0] == "torchvision"]:
            del sys.modules[name]  # what the failed import left half done
        library = torch.library.Library("torchvision", "DEF")
        for operator in ("nms", "qnms"):
            library.define(f"{operator}(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
        _declared.append(library)
        optional("torchvision", remedy)
