"""ganzip: compressing GANs by distillation, three papers reproduced in notebooks.

Not a framework. Every object is an ``nn.Module``, an optimiser, a tensor, a frozen dataclass or a
function, and the package reads from the bottom up:

- ``train``, ``taps``, ``losses``: the one training loop, activations by module name, loss terms;
- ``nets``, ``data``, ``features``, ``assets``, ``runs``: networks, images, embeddings, weights by
  path, and units of work that are done once and resume after a kill;
- ``methods``: one function a method, each returning the players that the loop trains;
- ``metrics``, ``presets``, ``tables``: numbers about images, numbers that decide a run, numbers
  beside the published ones;
- ``papers``, ``figures``: what each paper trains, measures and draws. The notebooks call these.
"""

__version__ = "0.1.0"
