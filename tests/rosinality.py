"""rosinality's networks: tensors by the names of its files, and a plain forward over them.

Written from the definitions: a weight of each sample's own, grouped convolutions, filters between
zeros, so that what a reader says of names is proven by images.
"""

import argparse
import math

import torch
import torch.nn.functional as F

ROOT2 = math.sqrt(2)
KERNEL = torch.outer(torch.tensor([1.0, 3, 3, 1]), torch.tensor([1.0, 3, 3, 1])) / 64
LATENT, LAYERS = 24, 3


def channels(size, base, cap=32):
    return {4 << i: min(cap, base // (4 << i)) for i in range(size.bit_length() - 2)}


def generator_state(widths, noises=True):
    """Random tensors by the names of the file's generator."""
    state = {"input.input": torch.randn(1, widths[4], 4, 4)}
    for i in range(1, LAYERS + 1):
        state[f"style.{i}.weight"] = torch.randn(LATENT, LATENT) / 0.01
        state[f"style.{i}.bias"] = torch.randn(LATENT) * 10

    def modulated(name, n_in, n_out, kernel):
        shown = 0.2 if kernel == 1 else 1.0  # images of some -10 to 10
        state[f"{name}.conv.weight"] = shown * torch.randn(1, n_out, n_in, kernel, kernel)
        state[f"{name}.conv.modulation.weight"] = torch.randn(n_in, LATENT)
        state[f"{name}.conv.modulation.bias"] = 1 + 0.1 * torch.randn(n_in)

    def styled(name, i, n_in, n_out, side):
        modulated(name, n_in, n_out, 3)
        state[f"{name}.noise.weight"] = torch.randn(1)
        state[f"{name}.activate.bias"] = torch.randn(n_out)
        if noises:
            state[f"noises.noise_{i}"] = torch.randn(1, 1, side, side)

    def to_rgb(name, n_in):
        modulated(name, n_in, 3, 1)
        state[f"{name}.bias"] = 0.2 * torch.randn(1, 3, 1, 1)

    styled("conv1", 0, widths[4], widths[4], 4)
    to_rgb("to_rgb1", widths[4])
    for k, r in enumerate(list(widths)[1:]):
        styled(f"convs.{2 * k}", 2 * k + 1, widths[r // 2], widths[r], r)
        styled(f"convs.{2 * k + 1}", 2 * k + 2, widths[r], widths[r], r)
        state[f"convs.{2 * k}.conv.blur.kernel"] = 4 * KERNEL
        to_rgb(f"to_rgbs.{k}", widths[r])
        state[f"to_rgbs.{k}.upsample.kernel"] = 4 * KERNEL
    return state


def discriminator_state(widths):
    """Random tensors by the names of the file's discriminator."""
    sides = list(widths)[::-1]
    state = {
        "convs.0.0.weight": torch.randn(widths[sides[0]], 3, 1, 1),
        "convs.0.1.bias": torch.randn(widths[sides[0]]),
    }
    for i, r in enumerate(sides[:-1], 1):
        n_in, n_out = widths[r], widths[r // 2]
        state[f"convs.{i}.conv1.0.weight"] = torch.randn(n_in, n_in, 3, 3)
        state[f"convs.{i}.conv1.1.bias"] = torch.randn(n_in)
        state[f"convs.{i}.conv2.0.kernel"] = state[f"convs.{i}.skip.0.kernel"] = KERNEL
        state[f"convs.{i}.conv2.1.weight"] = torch.randn(n_out, n_in, 3, 3)
        state[f"convs.{i}.conv2.2.bias"] = torch.randn(n_out)
        state[f"convs.{i}.skip.1.weight"] = torch.randn(n_out, n_in, 1, 1)
    n = widths[4]
    state["final_conv.0.weight"] = torch.randn(n, n + 1, 3, 3)
    state["final_conv.1.bias"] = torch.randn(n)
    state["final_linear.0.weight"] = torch.randn(n, 16 * n)
    state["final_linear.0.bias"] = torch.randn(n)
    state["final_linear.1.weight"] = torch.randn(1, n)
    state["final_linear.1.bias"] = torch.randn(1)
    return state


def leaky(x, bias):
    return F.leaky_relu(x + bias.view(1, -1, *[1] * (x.ndim - 2)), 0.2) * ROOT2


def filtered(x, kernel, before, after):
    """Every channel by the kernel, on maps with a border of zeros."""
    n = x.shape[1]
    x = F.pad(x, (before, after, before, after))
    return F.conv2d(x, kernel[None, None].expand(n, -1, -1, -1), groups=n)


def style_of(state, z):
    w = z / (z.square().mean(1, keepdim=True) + 1e-8).sqrt()
    for i in range(1, LAYERS + 1):
        weight, bias = state[f"style.{i}.weight"], state[f"style.{i}.bias"]
        w = leaky(w @ weight.T * 0.01 / math.sqrt(weight.shape[1]), bias * 0.01)
    return w


def modulated(state, name, x, w, *, up=False, demodulate=True):
    """A convolution by a weight of each sample's own, all in one of as many groups."""
    weight, n = state[f"{name}.conv.weight"], len(x)
    _, n_out, n_in, k, _ = weight.shape
    style = w @ state[f"{name}.conv.modulation.weight"].T / math.sqrt(w.shape[1])
    style = style + state[f"{name}.conv.modulation.bias"]
    own = weight / math.sqrt(n_in * k * k) * style[:, None, :, None, None]
    if demodulate:
        own = own / (own.square().sum((2, 3, 4), keepdim=True) + 1e-8).sqrt()
    x = x.reshape(1, -1, *x.shape[2:])
    if up:
        own = own.transpose(1, 2).reshape(n * n_in, n_out, k, k)
        x = F.conv_transpose2d(x, own, stride=2, groups=n)
        return filtered(x, 4 * KERNEL, 1, 1).unflatten(1, (n, n_out))[0]
    own = own.reshape(n * n_out, n_in, k, k)
    return F.conv2d(x, own, padding=k // 2, groups=n).unflatten(1, (n, n_out))[0]


def draw(state, z):
    """Images of noise with the file's own noise maps."""
    w, count = style_of(state, z), sum(name.startswith("noises.") for name in state)
    layers = ["conv1", *(f"convs.{i}" for i in range(count - 1))]
    x, image = state["input.input"].repeat(len(z), 1, 1, 1), torch.zeros(len(z), 3, 2, 2)
    for i, layer in enumerate(layers):
        x = modulated(state, layer, x, w, up=i % 2 == 1)
        x = x + state[f"{layer}.noise.weight"] * state[f"noises.noise_{i}"]
        x = leaky(x, state[f"{layer}.activate.bias"])
        if i % 2 == 0:
            name = f"to_rgbs.{i // 2 - 1}" if i else "to_rgb1"
            shown = modulated(state, name, x, w, demodulate=False) + state[f"{name}.bias"]
            apart = torch.zeros_like(shown)
            apart[:, :, ::2, ::2] = image  # the image so far, black before the first
            image = shown + filtered(apart, 4 * KERNEL, 2, 1)
    return image


def judge(state, x):
    """Logits of images."""

    def convolved(name, x, stride=1, padding=0):
        weight = state[name] / math.sqrt(state[name][0].numel())
        return F.conv2d(x, weight, stride=stride, padding=padding)

    x = leaky(convolved("convs.0.0.weight", x), state["convs.0.1.bias"])
    i = 1
    while f"convs.{i}.skip.1.weight" in state:
        name = f"convs.{i}"
        y = leaky(convolved(f"{name}.conv1.0.weight", x, 1, 1), state[f"{name}.conv1.1.bias"])
        y = convolved(f"{name}.conv2.1.weight", filtered(y, KERNEL, 2, 2), 2)
        y = leaky(y, state[f"{name}.conv2.2.bias"])
        x = (y + convolved(f"{name}.skip.1.weight", filtered(x, KERNEL, 1, 1), 2)) / ROOT2
        i += 1
    group = min(len(x), 4)
    apart = x.view(group, -1, *x.shape[1:])
    spread = (apart.var(0, unbiased=False) + 1e-8).sqrt().mean((1, 2, 3)).repeat(group)
    x = torch.cat([x, spread.view(-1, 1, 1, 1).expand(-1, 1, 4, 4)], 1)
    x = leaky(convolved("final_conv.0.weight", x, 1, 1), state["final_conv.1.bias"]).flatten(1)
    one, other = state["final_linear.0.weight"], state["final_linear.1.weight"]
    x = leaky(x @ one.T / math.sqrt(one.shape[1]), state["final_linear.0.bias"])
    return (x @ other.T / math.sqrt(other.shape[1]) + state["final_linear.1.bias"]).flatten()


def held(widths, noises=True):
    """What such a file holds, optimisers and options too."""
    torch.manual_seed(3)
    g, d = generator_state(widths, noises), discriminator_state(widths)
    moments = {"state": {0: {"step": 4, "exp_avg": torch.zeros(3)}}, "param_groups": [{"lr": 0.1}]}
    options = argparse.Namespace(size=max(widths), path="/data", mixing=0.9, ckpt=None, wandb=False)
    last = {name: 2 * x for name, x in g.items()}
    both = {"g_optim": moments, "d_optim": moments, "args": options, "ada_aug_p": 0.0}
    return {"g": last, "d": d, "g_ema": g, **both}
