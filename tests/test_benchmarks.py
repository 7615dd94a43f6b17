"""What the benchmarks compare is the same computation; what they count does not regress."""

import json
from contextlib import ExitStack
from functools import partial
from typing import Any

import pytest
import torch
from torch import nn

from benchmarks import cases, measure, slow
from benchmarks.__main__ import RESULTS
from benchmarks.cases import How
from ganzip.nets import gcfsr, realesrgan, stylegan2
from ganzip.train import Batch

SMALL: dict[str, Any] = {"base": 512, "cap": 16}


def test_backward_keeps_half_of_what_the_definition_keeps():
    torch.manual_seed(0)
    assert cases.memory_share(stylegan2.Generator(64, base=16384, cap=256), 512) <= 0.5


def test_kept_bytes_by_hand():
    x = torch.randn(4, 8, requires_grad=True)
    # exp keeps its result, and the product both of its factors, one of which is that result.
    assert measure.kept_bytes(lambda: x.exp() * x) == 2 * 4 * 8 * 4
    weight = torch.randn(8, 3, requires_grad=True)
    assert measure.kept_per_image(lambda n: torch.randn(n, 8) @ weight) == 8 * 4


@pytest.mark.parametrize(
    ("make", "shape"),
    [
        (partial(stylegan2.Generator, 32, **SMALL, latent=8, layers=2), (3, 8)),
        (partial(stylegan2.Discriminator, 32, **SMALL, group=2), (4, 3, 32, 32)),
        (partial(gcfsr.Generator, 32, **SMALL, latent=8, extra=1), (2, 4, 32, 32)),
        (partial(realesrgan.RRDBNet, width=1 / 8, blocks=2), (2, 3, 12, 12)),
    ],
)
def test_both_forms_draw_the_same(make, shape):
    with ExitStack() as stack:
        pair = cases.forward(make, *shape)(How(), stack)
        assert measure.apart(pair.fast(), pair.slow()) < 1e-5


def test_both_forms_train_the_same():
    def nets() -> dict[str, nn.Module]:
        G = stylegan2.Generator(16, **SMALL, latent=8, layers=2)
        return {"G": G, "D": stylegan2.Discriminator(16, **SMALL, group=4)}

    def batch(step: int) -> Batch:
        return Batch(torch.randn(8, 8), real=torch.rand(8, 3, 16, 16) * 2 - 1)

    with ExitStack() as stack:
        pair = cases.training(nets, cases.stylegan2_players, batch, 1)(How(), stack)
        fast, plain = pair.fast(), pair.slow()
    assert len(fast) == 4 + 2  # D, R1, G, path length; gradients of both networks
    assert measure.apart(fast, plain) < 1e-3


def test_the_definition_shares_no_parameter_with_what_it_checks():
    G = stylegan2.Generator(8, **SMALL, latent=4, layers=1)
    plain, z = slow.by_definition(G), torch.randn(2, 4)
    with torch.no_grad():
        before = cases.drawn(plain, z)
        for p in G.parameters():
            p.add_(1)
        assert measure.apart(before, cases.drawn(plain, z)) == 0
        assert measure.apart(cases.drawn(G, z), before) > 0.1


def test_a_cached_step_sees_the_teachers_images_to_8_bits():
    with ExitStack() as stack:
        pair = cases.student_step(2, pairs=128)(How(), stack)
        assert 0 < measure.apart(pair.fast(), pair.slow()) < 0.004


def test_the_kept_results_are_those_of_all_benchmarks():
    kept = json.loads((RESULTS / "cpu.json").read_text())
    names = {each["name"] for each in kept["results"]}
    assert names == {case.name for case in (*cases.CASES, *cases.COUNTS)}
    assert {"cpu", "cores", "torch", "python"} <= set(kept["machine"])
    for each in kept["results"]:
        assert each["verdict"] in ("met", "missed", ""), each["name"]
