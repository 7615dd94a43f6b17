"""What stays known of a data set that is not here: files that are read as strangers' are."""

from __future__ import annotations

import io
import json
import re
from typing import Any

import torch

from ganzip.data.images import DataError, Images
from ganzip.data.photo_sets import SHARES

KNOWN = 8  # images that stay known of a set


def known_images(content: bytes) -> Images:
    """What a file of ``cache/known`` holds of a set of images; raises DataError for any other."""
    fields = {"name", "labels", "fingerprint", "pixels", "facts"}
    try:
        few = torch.load(io.BytesIO(content), weights_only=True)
        if not isinstance(few, dict) or set(few) != fields or few["labels"] is not None:
            raise ValueError(f"expected {', '.join(sorted(fields))}")
        pixels, facts = few["pixels"], few["facts"]
        if pixels.dtype != torch.uint8 or pixels.ndim != 4 or not 1 <= len(pixels) <= KNOWN:
            raise ValueError(f"pixels are {pixels.dtype} {tuple(pixels.shape)}")
        _, channels, height, width = pixels.shape
        side = height if height == width else f"{height}x{width}"
        told = {"name": few["name"], "size": side, "channels": channels}
        told |= {"fingerprint": few["fingerprint"]}
        told |= {k: facts[k] for k in ("count", "classes") if type(facts[k]) is int}
        if facts != told or facts["count"] < len(pixels) or facts["classes"] < 0:
            raise ValueError("its facts are not those of its images")
        if not re.fullmatch(r"[0-9a-f]{12}", few["fingerprint"]):
            raise ValueError("its fingerprint is none")
    except Exception as error:  # torch and pickle raise a dozen kinds for what is torn or foreign
        own = str(error) if type(error) is ValueError else "it cannot be read"
        raise DataError(f"nothing that a run keeps of a set of images ({own:.100})") from error
    return Images(**few)


def known_parts(content: bytes) -> list[dict[str, Any]]:
    """What a file of ``cache/known`` holds of a set of photos: the manifest of their parts.

    Raises DataError for any other.
    """
    kinds = {"photo": str, "sha256": str, "part": str}
    kinds |= dict.fromkeys(("top", "left", "height", "width"), int)
    try:
        found = json.loads(content)
        if not isinstance(found, list) or not found:
            raise ValueError("expected a list of parts")
        for entry in found:
            if {k: type(v) for k, v in entry.items()} != kinds:
                raise ValueError(f"expected {', '.join(kinds)} of each part")
            if entry["part"] not in SHARES or not re.fullmatch(r"[0-9a-f]{12}", entry["sha256"]):
                raise ValueError(f"found part {entry['part']!a:.40} of {entry['sha256']:.12}")
            if min(entry["top"], entry["left"]) < 0 or min(entry["height"], entry["width"]) < 1:
                raise ValueError("a part has no pixels")
    except (ValueError, AttributeError, RecursionError) as error:
        own = str(error) if type(error) is ValueError else "it cannot be read"
        raise DataError(f"nothing that a run keeps of a set of photos ({own:.100})") from error
    return found
