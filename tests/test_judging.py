"""How many images measure, and how many real ones they are compared with."""

import pytest
import torch

from ganzip.data import Images
from ganzip.measure import judging


def unlabelled(n=6):
    return Images("faces", torch.zeros(n, 3, 8, 8, dtype=torch.uint8), None, "abc", {})


@pytest.mark.parametrize(
    ("preset", "measured", "compared"),
    [("cpu", 500, None), ("night", 500, None), ("gpu", 9000, 10_000), ("paper", 9000, 6)],
)
def test_an_fid_as_published_is_not_that_of_500_images(preset, measured, compared):
    images = unlabelled()
    common = judging.settings(images, preset, 9000)
    judge = judging.unit("dcgan_kd", common | {"size": 8}, images, 2, "faces", batch=2)
    assert common["n_images"] == measured
    assert judge.config.get("reference") == compared
