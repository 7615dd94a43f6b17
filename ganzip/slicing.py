"""A narrow network's first weights out of a wide one's, for networks that ``prune`` does not know.

Slicing is a start and no more: what the lost channels did is lost.
"""

import torch
from torch import Tensor, nn

from ganzip.prune import strongest


@torch.no_grad()
def leading(wide: nn.Module, narrow: nn.Module) -> None:
    """Give each tensor of ``narrow`` the leading part of the tensor of that name in ``wide``.

    Right for layers in a row; where a layer reads several maps side by side it takes the wrong
    channels. Raises ValueError for a tensor that ``wide`` lacks or has smaller.
    """
    theirs, found = wide.state_dict(), {}
    for name, mine in narrow.state_dict().items():
        its = theirs.get(name)
        sizes = zip(() if its is None else its.shape, mine.shape, strict=False)
        if its is None or its.ndim != mine.ndim or any(a < b for a, b in sizes):
            shape = "absent" if its is None else str(tuple(its.shape))
            raise ValueError(
                f"{name} is {tuple(mine.shape)}, in the wide network {shape}; expected the same "
                "layers, as wide or wider: take another start"
            )
        found[name] = its[tuple(slice(n) for n in mine.shape)]
    narrow.load_state_dict(found)


@torch.no_grad()
def rrdb(wide: nn.Module, narrow: nn.Module) -> None:
    """The same for ``nets.realesrgan.RRDBNet``, whose convolutions read several maps side by side.

    Of the trunk and of each convolution inside a block the channels with the largest weights stay,
    by the sum of the absolute weights that write and that read them.
    """
    convs = {name: m for name, m in wide.named_modules() if isinstance(m, nn.Conv2d)}
    sizes = {name: m for name, m in narrow.named_modules() if isinstance(m, nn.Conv2d)}
    trunk_writers = [n for n in convs if n.endswith("conv5") or n in ("conv_first", "conv_body")]
    score = torch.stack([convs[n].weight.abs().sum((1, 2, 3)) for n in trunk_writers]).sum(0)
    (trunk,) = strongest([score], [sizes["conv_first"].out_channels])
    state, before = {}, torch.arange(3)
    inputs: dict[str, list[Tensor]] = {}  # of a block: the trunk, then its own
    for name, conv in convs.items():
        block, _, leaf = name.rpartition(".")
        parts = inputs.setdefault(block, [trunk])
        reads = torch.cat(parts) if block else before
        own = conv.weight.abs().sum((1, 2, 3))
        if name in trunk_writers:
            writes = trunk
        elif block:
            k, n = int(leaf[-1]), conv.out_channels
            at = len(score) + (k - 1) * n
            later = [convs[f"{block}.conv{i}"].weight[:, at : at + n] for i in range(k + 1, 6)]
            heard = torch.stack([weight.abs().sum((0, 2, 3)) for weight in later]).sum(0)
            (writes,) = strongest([own * heard], [sizes[name].out_channels])
            parts.append(at + writes)
        else:
            (writes,) = strongest([own], [sizes[name].out_channels])
        before = before if block else writes
        state[f"{name}.weight"] = conv.weight[writes][:, reads]
        state[f"{name}.bias"] = conv.bias[writes]  # pyright: ignore
    narrow.load_state_dict(state)
