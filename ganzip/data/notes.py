"""What stays known of a data set that is not here: files that are read as strangers' are."""

import io
import re
from dataclasses import replace
from typing import Annotated, Any, Literal

import torch
from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

from ganzip.data.images import DataError, Images, describe
from ganzip.files import first_fault

IMAGES = 8  # that a note holds of a set
FINGERPRINT = r"^[0-9a-f]{12}$"


class Part(BaseModel):
    """A part of a photo, as the manifests of ``photo_sets`` have it; top, ..., width in pixels."""

    model_config = ConfigDict(defer_build=True, extra="forbid", strict=True)

    photo: str
    sha256: Annotated[str, Field(pattern=FINGERPRINT)]
    part: Literal["train", "validation", "test"]
    top: Annotated[int, Field(ge=0)]
    left: Annotated[int, Field(ge=0)]
    height: Annotated[int, Field(ge=1)]
    width: Annotated[int, Field(ge=1)]


PARTS = TypeAdapter(Annotated[list[Part], Field(min_length=1)], config=ConfigDict(defer_build=True))


def recall_images(content: bytes) -> Images:
    """What a file of ``cache/known`` holds of a set of images; raises DataError for any other."""
    try:
        images = Images(**torch.load(io.BytesIO(content), weights_only=True))
        pixels, facts = images.pixels, images.facts or {}
        if pixels.dtype != torch.uint8 or pixels.ndim != 4 or not 1 <= len(pixels) <= IMAGES:
            raise ValueError(f"pixels are {pixels.dtype} {tuple(pixels.shape)}")
        counts = {name: facts[name] for name in ("count", "classes") if type(facts[name]) is int}
        if images.labels is not None or facts != describe(replace(images, facts=None)) | counts:
            raise ValueError("its facts are not those of its images")
        if counts["count"] < len(pixels) or counts["classes"] < 0:
            raise ValueError(f"its counts are {counts}")
        if not re.fullmatch(FINGERPRINT, images.fingerprint):
            raise ValueError("its fingerprint is none")
    except Exception as error:  # torch and pickle raise a dozen kinds for what is torn or foreign
        own = str(error) if type(error) is ValueError else "it cannot be read"
        raise DataError(f"nothing that a run keeps of a set of images ({own:.100})") from error
    return images


def recall_parts(content: bytes) -> list[dict[str, Any]]:
    """What a file of ``cache/known`` holds of a set of photos: the manifest of their parts.

    Raises DataError for any other.
    """
    try:
        return [part.model_dump() for part in PARTS.validate_json(content)]
    except ValidationError as error:
        fault = first_fault(error)
        raise DataError(f"nothing that a run keeps of a set of photos ({fault:.100})") from error
