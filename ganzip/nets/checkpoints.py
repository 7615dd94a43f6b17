"""StyleGAN2 networks out of the files that people have, whatever code wrote them.

``.pkl`` of StyleGAN2-ADA's and StyleGAN3's repositories; ``.pt`` of rosinality's stylegan2-pytorch,
in which CAGC, StyleKD and the released NICKEL & DiME code keep their teachers; state dicts of
``nets.stylegan2``, ``.pt`` or ``.safetensors``. They are told apart by their content, all sizes are
the file's, and none of the code in them is run.
"""

from __future__ import annotations

import argparse
import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file
from torch import Tensor, nn

from ganzip.nets import pickled
from ganzip.nets.stylegan2 import Discriminator, Generator
from ganzip.train import frozen

AVERAGES = ("G_ema", "g_ema", "G", "g")  # the generator, the first of these that is there
JUDGES = ("D", "d")
MAPPED = 10_000  # noises whose mean style stands in for one that a file lacks
GROUP = 4  # images that share a minibatch deviation, where the file does not say
OLD_PT = b"\x80\x02\x8a\nl\xfc\x9cF\xf9 j\xa8P\x19"  # how torch.save began before zip files
LEAVES = {  # of rosinality's styled layers
    "conv.weight": "weight",
    "conv.modulation.weight": "affine.weight",
    "conv.modulation.bias": "affine.bias",
    "activate.bias": "bias",
    "noise.weight": "noise_strength",
    "bias": "bias",
}


class CheckpointError(ValueError):
    """A file that gives no StyleGAN2; the message is one line with a remedy."""


@dataclass(frozen=True)
class Sizes:
    """What a file holds.

    size: pixels of an image. channels, d_channels: of the maps of 4, 8, ... pixels, of generator
    and discriminator; the latter none where the file has none. latent: of z and w. layers: of the
    mapping. group: images that share a minibatch deviation. digest: 12 hex digits of all tensors.
    """

    size: int
    channels: tuple[int, ...]
    latent: int
    layers: int
    d_channels: tuple[int, ...] = ()
    group: int = GROUP
    digest: str = ""


def load(path: str | Path) -> tuple[Generator, Discriminator | None]:
    """The networks of a StyleGAN2 file, frozen, on the CPU; no D where the file has none.

    The generator is the average over training (``G_ema``), or the last one where there is none.
    Tensors become 32-bit floats. A mean style that the file lacks is that of 10,000 noises, noise
    maps that it lacks are drawn; both the same each time. Raises FileNotFoundError, or
    CheckpointError with the reason: a damaged or foreign file, one that asks for more than tensors,
    a conditional network, StyleGAN3's own, TensorFlow's.
    """
    held = _read(path)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        G, D = _built(held, path)
    G.load_state_dict(G.state_dict() | held.G)
    if "mapping.w_avg" not in held.G:
        z = torch.randn(MAPPED, len(G.mapping.w_avg), generator=torch.Generator().manual_seed(0))
        with torch.no_grad():
            G.mapping.w_avg.copy_(G.mapping.styles(z).mean(0))
    if D is not None:
        D.load_state_dict(held.D)
        frozen(D)
    frozen(G)
    return G, D


def sizes(path: str | Path) -> Sizes:
    """The sizes of a file's networks, which are not built. Raises as ``load`` does."""
    held = _read(path)
    with torch.device("meta"):
        _built(held, path)
    digest = hashlib.sha256()
    for part in (held.G, held.D):
        for name, tensor in sorted(part.items()):
            digest.update(name.encode() + tensor.contiguous().numpy().tobytes())
    return replace(_sizes(held, path), digest=digest.hexdigest()[:12])


@dataclass(frozen=True)
class _Held:
    """Tensors of G and D by the names of ``nets.stylegan2``; D's are none where it is absent."""

    G: dict[str, Tensor]
    D: dict[str, Tensor]
    group: Any = GROUP


# Reading ------------------------------------------------------------------------------------------


def _read(path: str | Path) -> _Held:
    held = _taken(path)
    for part, tensors in (("G", held.G), ("D", held.D)):
        for name, tensor in tensors.items():
            if not tensor.isfinite().all():
                raise CheckpointError(
                    f"{path}: {name} of {part} is NaN or infinite somewhere, expected finite "
                    "numbers: get it again"
                )
    return held


def _taken(path: str | Path) -> _Held:
    file = Path(path).expanduser()
    if not file.is_file():
        raise FileNotFoundError(
            f"{path} is no file, expected a StyleGAN2's .pkl or .pt; "
            "assets.require('stylegan2-ffhq256') says where to get one"
        )
    with file.open("rb") as stream:
        head = stream.read(len(OLD_PT))
    if head.startswith(b"PK") or head == OLD_PT:
        return _of_states(_torch(file, path, zipped=head != OLD_PT), path)
    if head[8:9] == b"{":
        return _of_states(_safetensors(file, path), path)
    if not head.startswith(b"\x80"):
        raise CheckpointError(
            f"{path} starts with {head[:4]!r}, expected a StyleGAN2's .pkl, .pt or .safetensors: "
            "get it again"
        )
    try:
        return _of_pickle(pickled.read(file), path)
    except pickled.PickleError as error:
        raise CheckpointError(str(error)) from error


def _torch(file: Path, path: str | Path, *, zipped: bool) -> Any:
    """What ``torch.save`` wrote; nothing but tensors, plain values and a Namespace is unpickled."""
    try:
        with torch.serialization.safe_globals([argparse.Namespace]):
            return torch.load(file, map_location="cpu", weights_only=True, mmap=zipped)
    except Exception as error:  # on foreign bytes torch raises whatever it stumbles over
        asked = re.search(r"GLOBAL (\S+) (?:was not an allowed|whose module)", str(error))
        if asked is None:
            raise CheckpointError(
                f"{path} is truncated or no file of torch weights: get it again"
            ) from error
        raise CheckpointError(
            f"{path} asks for {asked[1]}, which could run any code: refused; save it again with "
            "tensors alone: torch.save({'g_ema': ..., 'd': ...}, path)"
        ) from error


def _safetensors(file: Path, path: str | Path) -> dict[str, Tensor]:
    try:
        return load_file(file)
    except Exception as error:
        raise CheckpointError(f"{path} is truncated or no safetensors: get it again") from error


def _of_pickle(parts: Mapping[str, pickled.Part], path: str | Path) -> _Held:
    net = next((parts[name] for name in AVERAGES if name in parts), None)
    judge = next((parts[name] for name in JUDGES if name in parts), None)
    if net is None:
        raise CheckpointError(f"{path} holds {sorted(parts)}, expected a generator G_ema or G")
    for part in (net, judge):
        if part is not None and part.numbers.get("c_dim"):
            raise _conditional(path)
    group = GROUP if judge is None else judge.numbers.get("b4.mbstd.group_size", GROUP)
    G = _ours(net.tensors, path)
    return _Held(G, {} if judge is None else _ours(judge.tensors, path), group)


def _of_states(held: Any, path: str | Path) -> _Held:
    """A state dict, or several by the names of their networks."""
    parts = held if isinstance(held, Mapping) else {}
    if any(isinstance(value, Tensor) for name, value in parts.items() if name != "latent_avg"):
        parts = {"G": parts}
    net = next((parts[name] for name in AVERAGES if name in parts), None)
    if not isinstance(net, Mapping):
        raise CheckpointError(
            f"{path} holds {list(parts)[:4] or type(held).__name__}, expected state dicts g_ema "
            "and d, or one of a generator"
        )
    judge = next((parts[name] for name in JUDGES if isinstance(parts.get(name), Mapping)), {})
    G, D = _ours(net, path), _ours(judge, path)
    mean = parts.get("latent_avg")
    if isinstance(mean, Tensor):
        G.setdefault("mapping.w_avg", mean.detach().float().flatten())
    return _Held(G, D)


# Names --------------------------------------------------------------------------------------------


def _ours(state: Mapping[str, Any], path: str | Path) -> dict[str, Tensor]:
    """A network's tensors by the names of ``nets.stylegan2``, in 32 bits."""
    state = {str(name).removeprefix("module."): value for name, value in state.items()}
    names = "\n".join(state)
    if "mapping.embed." in names:
        raise _conditional(path)
    if re.search(r"^synthesis\.(L\d+_|input\.)", names, re.M):
        raise CheckpointError(
            f"{path} holds StyleGAN3's own network (configuration t or r), another architecture: "
            "take a StyleGAN2, which that repository trains with --cfg=stylegan2"
        )
    if "conv1.conv.weight" in state:
        found = {_g_name(name): value for name, value in state.items()}
    elif "final_linear.0.weight" in state:
        blocks = {name.split(".")[1] for name in state if name.startswith("convs.")}
        found = {_d_name(name, 2 << len(blocks)): value for name, value in state.items()}
    else:
        found = {_ada_name(name): value for name, value in state.items()}
    return {
        name: _plain(name, value)
        for name, value in found.items()
        if name and isinstance(value, Tensor)
    }


def _ada_name(name: str) -> str:
    """StyleGAN2-ADA's: the constant and the layer from RGB stand in blocks there."""
    if name.endswith("resample_filter"):
        return ""  # a constant, made anew here
    if name == "synthesis.b4.const":
        return "synthesis.const"
    return re.sub(r"^b\d+\.fromrgb\.", "fromrgb.", name)


def _g_name(name: str) -> str:
    """rosinality's generator's; "" for a constant."""
    if name.endswith(".kernel"):
        return ""
    if name == "input.input":
        return "synthesis.const"
    if noise := re.fullmatch(r"noises\.noise_(\d+)", name):
        return f"synthesis.{_layer(int(noise[1]))}.noise_const"
    if style := re.fullmatch(r"style\.(\d+)\.(weight|bias)", name):
        return f"mapping.fc{int(style[1]) - 1}.{style[2]}"
    if layer := re.fullmatch(r"(conv1|to_rgb1|convs|to_rgbs)(?:\.(\d+))?\.([a-z].*)", name):
        kind, i, leaf = layer[1], int(layer[2] or 0), LEAVES.get(layer[3])
        places = {"conv1": _layer(0), "to_rgb1": "b4.torgb", "convs": _layer(i + 1)}
        return f"synthesis.{places.get(kind, f'b{8 << i}.torgb')}.{leaf}" if leaf else name
    return name


def _layer(i: int) -> str:
    """The styled layers in their order: b4.conv1, b8.conv0, b8.conv1, b16.conv0, ..."""
    return f"b{4 << (i + 1) // 2}.conv{(i + 1) % 2}"


def _d_name(name: str, size: int) -> str:
    """rosinality's discriminator's, of images of ``size`` pixels; "" for a constant."""
    if name.endswith(".kernel"):
        return ""
    if first := re.fullmatch(r"convs\.0\.[01]\.(weight|bias)", name):
        return f"fromrgb.{first[1]}"
    if layer := re.fullmatch(r"convs\.(\d+)\.(conv1|conv2|skip)\.\d\.(weight|bias)", name):
        ours = {"conv1": "conv0", "conv2": "conv1", "skip": "skip"}
        return f"b{2 * size >> int(layer[1])}.{ours[layer[2]]}.{layer[3]}"
    if last := re.fullmatch(r"final_(conv\.[01]|linear\.0|linear\.1)\.(weight|bias)", name):
        return f"b4.{ {'linear.0': 'fc', 'linear.1': 'out'}.get(last[1], 'conv') }.{last[2]}"
    return name


def _plain(name: str, value: Tensor) -> Tensor:
    """A tensor without the axes of length 1 that it has in rosinality's files, in 32 bits."""
    value, leaf = value.detach().float(), name.rpartition(".")[2]
    if leaf == "bias":
        return value.flatten()
    if leaf in ("noise_strength", "noise_const"):
        return value.squeeze()
    return value[0] if value.ndim == {"weight": 5, "const": 4}.get(leaf) else value


# Networks -----------------------------------------------------------------------------------------


def _sizes(held: _Held, path: str | Path) -> Sizes:
    found = _channels(held.G, r"synthesis\.b(\d+)\.conv1\.weight")
    first = held.G.get("mapping.fc0.weight", torch.zeros(0))
    if first.ndim != 2 or len(found) < 2 or "synthesis.b8.skip.weight" in held.G:
        raise CheckpointError(
            f"{path} holds {list(held.G)[:3]}, ..., expected a StyleGAN2 generator with layers to "
            "RGB in every block (architecture 'skip', the usual one)"
        )
    layers = sum(bool(re.fullmatch(r"mapping\.fc\d+\.weight", name)) for name in held.G)
    whole = Sizes(2 << len(found), found, first.shape[1], layers)
    return replace(whole, **_judge_sizes(held, len(found), path)) if held.D else whole


def _judge_sizes(held: _Held, blocks: int, path: str | Path) -> dict[str, Any]:
    found = _channels(held.D, r"b(\d+)\.(?:conv0|conv)\.weight")
    last, group = held.D.get("b4.conv.weight", torch.zeros(0)), held.group
    if len(found) != blocks or last.ndim != 4:
        raise CheckpointError(
            f"{path}, discriminator, holds {list(held.D)[:3]}, ... of {len(found)} maps, expected "
            f"{blocks} as the generator has (architecture 'resnet', the usual one)"
        )
    if last.shape[0] == last.shape[1]:
        group = 0  # no map of deviations is judged
    if not isinstance(group, int):
        raise CheckpointError(
            f"{path}: the minibatch deviation is over {group} images, expected a number: train its "
            "discriminator with one (mbstd_group_size), or leave it out of the file"
        )
    return {"d_channels": found, "group": group}


def _channels(state: Mapping[str, Tensor], pattern: str) -> tuple[int, ...]:
    """Channels of the maps of 4, 8, ... pixels, by the first size of the weight that matches."""
    found = {int(m[1]): x.shape for n, x in state.items() if (m := re.fullmatch(pattern, n))}
    sides = [4 << i for i in range(len(found))]
    whole = sorted(found) == sides and all(len(shape) == 4 for shape in found.values())
    return tuple(found[r][0] for r in sides) if whole else ()


def _built(held: _Held, path: str | Path) -> tuple[Generator, Discriminator | None]:
    """The networks without their weights, which are known to fit."""
    c = _sizes(held, path)
    G = Generator(c.size, channels=c.channels, latent=c.latent, layers=c.layers)
    _check(G, held.G, path, "generator")
    if not held.D:
        return G, None
    D = Discriminator(c.size, channels=c.d_channels, group=c.group)
    _check(D, held.D, path, "discriminator")
    return G, D


def _check(net: nn.Module, state: Mapping[str, Tensor], path: str | Path, part: str) -> None:
    """Raise CheckpointError where a tensor has another shape or is missing, but for means."""
    own = {name: tuple(x.shape) for name, x in net.state_dict().items()}
    held = {name: tuple(x.shape) for name, x in state.items()}
    spare = {n for n in own if n.endswith(("noise_const", "w_avg")) and n not in held}
    wrong = [n for n in {**own, **held} if n not in spare and own.get(n) != held.get(n)]
    if wrong:
        found, expected = (x.get(wrong[0], "absent") for x in (held, own))
        raise CheckpointError(
            f"{path}, {part}: {wrong[0]} is {found}, expected {expected} ({len(wrong)} such "
            "tensors): no StyleGAN2 of its usual form, or a damaged file; take another"
        )


def _conditional(path: str | Path) -> CheckpointError:
    return CheckpointError(
        f"{path} holds a conditional network, which draws by class, expected one without classes: "
        "take a file that was trained without labels (--cond=0)"
    )
