"""What a plan has to know of a set of images, in the place of one that is not here."""

from dataclasses import dataclass, replace

from ganzip.parameters import PRESETS


@dataclass(frozen=True, kw_only=True)
class Facts:
    """What is known of a set of images.

    classes: 0 without labels. dark: whether things stand on black. aligned: whether all images are
    squares of one size, as aligned faces are. side: pixels of the shorter side of a photo.
    """

    name: str
    channels: int = 3
    classes: int = 0
    dark: bool = False
    aligned: bool = False
    side: int = 1024


SETS = {
    "digits": Facts(name="digits", channels=1, classes=10, dark=True),
    "mnist": Facts(name="mnist", channels=1, classes=10, dark=True),
    "fashion": Facts(name="fashion", channels=1, classes=10, dark=True),
    "cifar10": Facts(name="cifar10", classes=10),
    "celeba": Facts(name="celeba"),
    "ffhq": Facts(name="ffhq", aligned=True),
    "photos": Facts(name="photos"),
}
# Which sets each preset is meant for, by paper: of paper B GCFSR's and Real-ESRGAN's.
SMALL = ("smoke", "cpu")
MEANT = {
    "dcgan_kd": dict.fromkeys(PRESETS, "mnist") | dict.fromkeys(SMALL, "digits"),
    "sdakd": dict.fromkeys(PRESETS, "ffhq,photos") | dict.fromkeys(SMALL, "photos"),
    "nickel_dime": dict.fromkeys(PRESETS, "mnist") | dict.fromkeys(SMALL, "digits"),
}
MEANT["nickel_dime"]["paper"] = "ffhq"


def facts(paper: str, preset: str, source: str = "") -> tuple[Facts, ...]:
    """What is known of sets that are not here: of well-known ones by name, else of the meant ones.

    One or, "a,b" of paper B, two; ``source`` is a notebook's ``data``, "" for the meant sets.
    """
    meant = MEANT[paper][preset].split(",")
    named = [name.strip() for name in source.split(",")] if source else meant
    found = []
    for i, name in enumerate(named):
        usual = SETS[meant[min(i, len(meant) - 1)]]
        found.append(SETS.get(name, replace(usual, name=name)))
    return tuple(found)
