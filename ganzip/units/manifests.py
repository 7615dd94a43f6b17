"""The manifest of a finished unit: how it was made, and every file of it with size and sha256.

It carries the sha256 of all that it says itself, so that a changed digit in it is seen too.
"""

import json
import re
from collections.abc import Mapping
from typing import Annotated, Any, Literal, Self, TypeVar

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    JsonValue,
    StringConstraints,
    ValidationError,
    model_validator,
)

from ganzip import files

FORMAT = 2
NAME = "manifest.json"
ROWS, HISTORY, WEIGHTS = "rows.csv", "history.csv", "weights.safetensors"
FILE = r"(rows|history)\.csv|weights\.safetensors|samples/[\w-]+\.npy"  # of a unit

M = TypeVar("M", bound=BaseModel)
Digest = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")]
Key = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{12}$")]
Name = Annotated[str, StringConstraints(pattern=r"^\w[\w.+-]{0,199}$")]
Seconds = Annotated[float, Field(ge=0, le=1e10)]


class File(BaseModel):
    """A file: its bytes and their sha256."""

    model_config = ConfigDict(defer_build=True, strict=True, extra="forbid", frozen=True)

    size: Annotated[int, Field(ge=0)]
    sha256: Digest


class Manifest(BaseModel):
    """What ``manifest.json`` says.

    stands_for: the key of the unit in whose folder it is, where it was taken in for a unit of
    another configuration. files: those that are there; a bundle may leave weights and samples out.
    What else stands in the file (device, versions) is kept as it is.
    """

    model_config = ConfigDict(
        defer_build=True, strict=True, extra="allow", allow_inf_nan=False, frozen=True
    )

    format: Literal[2]
    unit: Name
    key: Key
    config: dict[str, JsonValue]
    needs: dict[str, Key]
    weights_sha256: Digest
    cpu_seconds: Seconds
    wall_seconds: Seconds
    processes: Annotated[int, Field(ge=1, le=65536)] = 1
    stands_for: Key | None = None
    files: dict[str, File]
    sha256: Digest

    @model_validator(mode="after")
    def _check_files(self) -> Self:
        if absent := {ROWS, HISTORY} - set(self.files):
            raise ValueError(f"names no {min(absent)}")
        if others := [name for name in self.files if not re.fullmatch(FILE, name)]:
            raise ValueError(f"{others[0]!r} is no file of a unit")
        weights = self.files.get(WEIGHTS)
        if weights and weights.sha256 != self.weights_sha256:
            raise ValueError("names two sha256 of the weights")
        return self


def to_bytes(fields: Mapping[str, Any]) -> bytes:
    """The file of a manifest: the fields, its format and its own sha256."""
    content = json.loads(json.dumps({**fields, "format": FORMAT}))
    content.pop("sha256", None)
    return json.dumps(content | {"sha256": _sha256(content)}, indent=1).encode()


def describe(content: bytes) -> dict[str, Any]:
    """What a manifest or a bundle says of a file: size and sha256."""
    return {"size": len(content), "sha256": files.sha256(content)}


def read(content: bytes) -> Manifest:
    """The manifest in a file; raises ValueError, in one line, for what is none or was altered."""
    manifest = parse_json(Manifest, content)
    fields = json.loads(content)
    if fields.pop("sha256") != _sha256(fields):
        raise ValueError("was altered: its own sha256 does not match")
    return manifest


def parse_json(model: type[M], content: bytes) -> M:
    """JSON as a pydantic model; raises ValueError that names the first fault, in one line."""
    try:
        return model.model_validate_json(content)
    except ValidationError as error:
        raise ValueError(files.first_fault(error)) from None


def _sha256(fields: Mapping[str, Any]) -> str:
    return files.sha256(json.dumps(fields, sort_keys=True).encode())
