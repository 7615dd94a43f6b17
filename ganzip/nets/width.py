"""How a width, a fraction of the teacher's channels, becomes a whole number of channels."""

from __future__ import annotations

from collections.abc import Callable


def scaled(channels: int, width: float, rounding: Callable[[float], int]) -> int:
    """``channels`` times ``width``, made whole by ``rounding``: one or more.

    ``rounding`` is the paper's choice: ``math.trunc`` for GCFSR and Real-ESRGAN (whose published
    widths 1/2, 1/4 and 1/8 come out whole anyway), ``math.ceil`` for NICKEL & DiME. Raises
    ValueError where nothing would be left.
    """
    # Products of binary fractions miss whole numbers by a hair, and a hair would cost a channel:
    # 100 * 0.29 is 28.999999999999996, 100 * 0.07 is 7.000000000000001.
    whole = rounding(round(channels * width, 6))
    if whole < 1:
        raise ValueError(
            f"width is {width}; expected one that leaves 1 or more of {channels} channels, "
            f"found {whole}: take {1 / channels:g} or more"
        )
    return whole
