"""ganzip: compressing GANs by distillation, three papers reproduced in notebooks.

Not a framework. Every object is an ``nn.Module``, an optimiser, a tensor, a frozen dataclass or a
function, and the package reads from the bottom up:

- ``train``, ``taps``, ``losses``: the one training loop, activations by module name, loss terms;
- ``nets``, ``data``, ``features``, ``assets``, ``units``: networks, images, embeddings, weights by
  path, and units of work that are done once and resume after a kill;
- ``methods``: one function a method, each returning the players that the loop trains;
- ``metrics``, ``presets``: numbers about images, numbers that decide a run; ``export``, networks as
  files, and ``zoo``, those that come along;
- ``papers``: what each paper trains and measures; ``report``: tables beside the published ones,
  claims, figures and pages. The notebooks call these.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    from torch import nn

__version__ = "0.1.0"


def load(path: str | Path, constructor: Callable[..., nn.Module] | None = None) -> nn.Module:
    """The network of a file that ``export.save`` wrote, frozen: see ``export.load``.

    Those of this repository have names, such as "nickel_dime/teacher": see ``zoo``.
    """
    from ganzip import export, zoo

    return export.load(path if Path(path).is_file() else zoo.find(str(path)), constructor)
