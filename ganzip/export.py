"""A network that leaves the notebook: one file with a card, and ONNX files with their errors.

``save`` and ``load`` keep a network as safetensors, whose metadata say what it is (``Card``): no
code is in such a file and none of it is run. ``to_onnx``, ``half`` and ``quantise`` write files
for onnxruntime, and ``variants`` measures them beside PyTorch. An ONNX file takes "input" and gives
"image", float32 whatever it computes in::

    session = onnxruntime.InferenceSession("student.onnx")
    (images,) = session.run(None, {"input": array})  # float32 (N, ...), any N

StyleGAN2 and GCFSR draw noise maps anew at each call. An ONNX file holds the maps that the network
stores (``nets.stylegan2.stored_noise``) instead, so that equal inputs give equal images; PyTorch is
compared and timed with the same maps.
"""

import copy
import functools
import importlib
import json
import pkgutil
import re
import tempfile
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, replace
from importlib.metadata import version
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import torch
from pydantic_core import to_jsonable_python
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file
from safetensors.torch import save as to_safetensors
from torch import Tensor, nn

from ganzip import __version__, files, metrics, nets
from ganzip._compat import optional
from ganzip.device import cpu_threads
from ganzip.nets.stylegan2 import stored_noise
from ganzip.train import frozen

FORMAT = 1  # of the card; a reader refuses a higher one
KEY = "ganzip"  # of the card among a file's metadata
REMEDY = "pip install 'ganzip[export]'"
CONVOLUTIONS = ("Conv", "ConvTranspose")
COLUMNS = [
    *("runtime", "precision", "file", "bytes", "max_difference", "mean_difference", "psnr"),
    *("latency_ms", "threads", "note"),
]


class StudentError(ValueError):
    """A file that ``load`` cannot make a network of: the text says why, and what helps."""


class OnnxError(RuntimeError):
    """A network that cannot be exported, or an ONNX file that answers otherwise than PyTorch."""


# One file ---------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Card:
    """What a network is and where it comes from; values that JSON has.

    arguments: its constructor's, by name. width: its share of the teacher's channels, 1 without a
    teacher. input_shape: of an example, the batch first. input_kind: "noise" or "image in [-1, 1]".
    output_range: what its images are clamped to when they are saved.
    training: method, steps, teacher, data, seed. metrics: rows, as a unit's ``rows.csv`` has them.
    provenance: "unit", the key, and "licence", a text; ``save`` adds the versions of ganzip and
    torch, and the ``architecture``, such as "ganzip.nets.realesrgan.RRDBNet".
    """

    arguments: Mapping[str, Any]
    input_shape: Sequence[int]
    input_kind: str = "noise"
    output_range: Sequence[float] = (-1.0, 1.0)
    width: float = 1.0
    training: Mapping[str, Any] = field(default_factory=dict)
    metrics: Sequence[Mapping[str, Any]] = ()
    provenance: Mapping[str, Any] = field(default_factory=dict)
    architecture: str = ""


def save(
    path: str | Path, net: nn.Module, card: Card, *, dtype: torch.dtype = torch.float32
) -> Card:
    """Write a network and its card as one safetensors file, whole or not at all.

    dtype: of the floating-point tensors in the file; ``load`` gives them in 32 bits. Returns the
    card as written: numbers that are not finite became None. Raises StudentError where the card's
    arguments do not build this network, ValueError for a card that JSON cannot hold or weights that
    ``dtype`` cannot.
    """
    architecture = f"{type(net).__module__}.{type(net).__qualname__}"
    state = {
        name: value.detach().cpu().clone(memory_format=torch.contiguous_format)
        for name, value in net.state_dict().items()
    }
    if dtype != torch.float32:
        state = {k: v.to(dtype) if v.is_floating_point() else v for k, v in state.items()}
        if wrong := [k for k, v in state.items() if not v.isfinite().all()]:
            raise ValueError(f"{path}: {wrong[0]} is too large for {dtype}; save it in float32")
    versions = {"ganzip": __version__, "torch": version("torch")}
    card = replace(card, architecture=architecture, provenance={**card.provenance, **versions})
    try:
        fields = to_jsonable_python(
            asdict(card), inf_nan_mode="null", fallback=lambda number: number.item()
        )
        text = json.dumps({"format": FORMAT, **fields}, allow_nan=False)
    except (AttributeError, ValueError, TypeError, RuntimeError) as error:  # of item, too
        raise ValueError(f"{path}: the card holds more than JSON values: {error}") from error
    card = _parse(text, path)
    if (constructor := _find_class(card, path)) is not None:
        _build(constructor, card, state, path)  # a file that cannot be read is never written
    files.write(Path(path), to_safetensors(state, {KEY: text}))
    return card


def load(path: str | Path, constructor: Callable[..., nn.Module] | None = None) -> nn.Module:
    """The network of a file that ``save`` wrote, on the CPU and frozen.

    Networks of ``ganzip.nets`` are found by their name; for one of your own hand over its
    ``constructor``, for a file decides about no code. Raises FileNotFoundError or StudentError.
    """
    held = card(path)
    constructor = constructor or _find_class(held, path)
    if constructor is None:
        raise StudentError(
            f"{path} holds a {held.architecture}, which is not in ganzip.nets: hand over what "
            f"builds it, load({str(path)!r}, constructor={held.architecture.rpartition('.')[2]})"
        )
    return frozen(_build(constructor, held, load_file(path), path))


def card(path: str | Path) -> Card:
    """The card of a file that ``save`` wrote; no weights are read. Raises as ``load`` does."""
    if not Path(path).is_file():
        raise FileNotFoundError(f"{path} is no file; expected one written by ganzip.export.save")
    try:
        with safe_open(path, "pt") as file:
            metadata = file.metadata() or {}
    except SafetensorError as error:
        raise StudentError(
            f"{path}, {Path(path).stat().st_size:,} bytes, is torn or no safetensors file "
            f"({error}): get it again"
        ) from error
    if KEY not in metadata:
        raise StudentError(
            f"{path} has no card (its metadata: {', '.join(metadata) or 'none'}), expected one "
            f"under {KEY!r} as ganzip.export.save writes it: build the network yourself and load "
            "the tensors with safetensors"
        )
    return _parse(metadata[KEY], path)


def _parse(text: str, path: str | Path) -> Card:
    try:
        fields = json.loads(text)
        found = fields.pop("format")
    except (ValueError, KeyError, AttributeError, TypeError) as error:
        raise StudentError(
            f"{path} has a card that is no JSON with a format ({error!r}): get it again"
        ) from error
    if found != FORMAT:
        raise StudentError(
            f"{path} has format {found}, ganzip {__version__} reads {FORMAT}: pip install -U ganzip"
        )
    values: Any = {k: tuple(v) if isinstance(v, list) else v for k, v in fields.items()}
    try:
        return Card(**values)
    except TypeError as error:
        raise StudentError(f"{path} has a card of other fields ({error}): get it again") from error


def _find_class(card: Card, path: str | Path) -> Callable[..., nn.Module] | None:
    """The class in ``ganzip.nets``; None where the card names another package's."""
    name = re.fullmatch(rf"{re.escape(nets.__name__)}\.(\w+)\.(\w+)", card.architecture)
    if name is None:
        return None
    modules = [module.name for module in pkgutil.iter_modules(nets.__path__)]
    if name[1] in modules:
        module = importlib.import_module(f"{nets.__name__}.{name[1]}")
        found = vars(module).get(name[2])
        # What a module imports is not its own: nothing but networks is ever called.
        if isinstance(found, type) and issubclass(found, nn.Module):
            if found.__module__ == module.__name__:
                return found
    raise StudentError(
        f"{path} holds a {card.architecture}, which ganzip {__version__} has not (modules: "
        f"{', '.join(modules)}): install ganzip {card.provenance.get('ganzip')}, or hand over "
        "constructor="
    )


def _build(
    constructor: Callable[..., nn.Module], card: Card, state: Mapping[str, Tensor], path: str | Path
) -> nn.Module:
    try:
        with torch.random.fork_rng(devices=[]):  # weights that are thrown away draw nothing
            net = constructor(**card.arguments)
    except Exception as error:  # whatever a constructor raises of arguments it does not know
        raise StudentError(
            f"{path}: {card.architecture} refuses the card's arguments {dict(card.arguments)} "
            f"({error}): give the card the arguments that the network was built with"
        ) from error
    try:
        net.load_state_dict(state)
    except RuntimeError as error:
        first = str(error).splitlines()[:2][-1].strip()
        raise StudentError(
            f"{path}: weights do not fit {card.architecture} with {dict(card.arguments)}: "
            f"{first:.300}; give the card the arguments that the network was built with"
        ) from error
    return net


# ONNX -------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Exported:
    """An ONNX file, its size, and how far it is from PyTorch at most (images in [-1, 1])."""

    path: Path
    bytes: int
    max_difference: float


def to_onnx(
    net: nn.Module,
    example: Tensor,
    path: str | Path,
    *,
    tolerance: float = 1e-3,
    sizes: bool | None = None,
) -> Exported:
    """Write a network of one input as an ONNX file of 32-bit floats, for batches of any size.

    example: an input (n, ...). ``sizes``: whether height and width are free too; by default where
    the network takes an image (n, C, h, w) of twice the width. The file is compared with PyTorch
    on the example and on random inputs of other batches, and other sizes where they are free; at a
    difference above ``tolerance``, an eighth of a grey level, OnnxError is raised and nothing
    written. Noise maps are the stored ones, see above. A minute for a Real-ESRGAN of 23 blocks.
    """
    with _frozen_copy(net) as still:
        example = example.detach().cpu()
        if sizes is None:
            sizes = _is_image(example) and _takes(still, example[:1].repeat(1, 1, 1, 2))
        content = _convert(still, example, sizes)
        answer, difference = session(content), 0.0
        for probe in (example, *_probes(still, example, sizes)):
            gap = float((answer(probe) - still(probe)).abs().max())
            if not gap <= tolerance:
                raise OnnxError(
                    f"{path}: at an input of {tuple(probe.shape)} onnxruntime and PyTorch differ "
                    f"by {gap:.2g}, expected {tolerance:g} at most: raise tolerance= or look for "
                    "what in the network depends on shapes or chance"
                )
            difference = max(difference, gap)
    files.write(Path(path), content)
    return Exported(Path(path), len(content), difference)


def half(path: str | Path) -> Path:
    """Write ``x.fp16.onnx`` beside ``x.onnx``: weights and arithmetic in 16-bit floats.

    Half the bytes. On a CPU without 16-bit kernels onnxruntime computes in 32 bits, between casts.
    """
    onnx = optional("onnx", REMEDY)
    float16 = optional("onnxruntime.transformers.float16", REMEDY)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # a line for every weight that 16 bits round to 0
        model = float16.convert_float_to_float16(onnx.load(path), keep_io_types=True)
    return _beside(path, "fp16", model.SerializeToString())


def quantise(path: str | Path, inputs: Tensor) -> Path:
    """Write ``x.int8.onnx`` beside ``x.onnx``: convolutions and matrix products in 8 bits.

    Static: ``inputs`` (n, ...), which stand for what the network will be given, decide the range of
    every activation (least and largest); weights have a scale for each output channel. Thin
    convolutions, from or to an image and low-pass filters, stay in 32 bits.
    """
    onnx = optional("onnx", REMEDY)
    quantization = optional("onnxruntime.quantization", REMEDY)
    shapes = optional("onnxruntime.quantization.shape_inference", REMEDY)
    feeds = iter([{"input": part.cpu().numpy()} for part in inputs.split(1)])
    reader: Any = SimpleNamespace(get_next=lambda: next(feeds, None))
    with tempfile.TemporaryDirectory() as folder:
        ready, done = Path(folder, "ready.onnx"), Path(folder, "done.onnx")
        # Gains are folded into weights first: 8 bits are for constants.
        shapes.quant_pre_process(path, ready, skip_symbolic_shape=True)
        quantization.quantize_static(
            ready,
            done,
            reader,
            op_types_to_quantize=[*CONVOLUTIONS, "Gemm", "MatMul"],
            nodes_to_exclude=_thin(onnx.load(ready).graph),
            per_channel=True,
            # Signed activations take half as long again on a CPU, for the same error. Signed
            # weights saturate on x86 processors without VNNI, whose products have 16 bits.
            activation_type=quantization.QuantType.QUInt8,
            weight_type=quantization.QuantType.QUInt8,
        )
        return _beside(path, "int8", done.read_bytes())


def _thin(graph: Any) -> list[str]:
    """Convolutions with 4 channels or fewer at one end, or without constant weights.

    They hold next to no bytes and cause much of the error: 5 of 36 dB in a Real-ESRGAN.
    """
    shapes = {weights.name: weights.dims for weights in graph.initializer}
    return [
        node.name
        for node in graph.node
        if node.op_type in CONVOLUTIONS and min(shapes.get(node.input[1], [0])[:2]) <= 4
    ]


def variants(
    net: nn.Module,
    inputs: Tensor,
    folder: str | Path,
    *,
    name: str = "network",
    passes: int = 20,
) -> Any:
    """Write ``name``.onnx, .fp16.onnx and .int8.onnx and measure them beside PyTorch: a DataFrame.

    inputs (n, ...), 2 or more and better dozens, as the network will be given: the first half
    calibrates the 8 bits, the second half measures.
    A row a variant: runtime, precision, file, bytes (PyTorch's are its tensors'); max_difference
    and mean_difference of its outputs from PyTorch's, psnr (dB, images alone); latency_ms, the
    median of ``passes`` calls for one input on the CPU, in CPU time of one thread and in turns with
    the others; note says why a variant is not there.
    """
    import pandas as pd

    if len(inputs) < 2:
        raise ValueError(f"{len(inputs)} inputs; expected 2 or more: to calibrate and to measure")
    inputs = inputs.detach().cpu()
    calibrating, measured = inputs[: len(inputs) // 2], inputs[len(inputs) // 2 :]
    exact = Path(folder, f"{name}.onnx")
    exact.unlink(missing_ok=True)  # the others are made of it, never of an older one
    makers: dict[str, Callable[[], Path]] = {
        "fp32": lambda: to_onnx(net, calibrating, exact).path,
        "fp16": lambda: half(exact),
        "int8": lambda: quantise(exact, calibrating),
    }
    size = sum(t.numel() * t.element_size() for t in net.state_dict().values())
    blank = {"runtime": "onnxruntime", "file": "", "threads": 1, "note": ""}
    rows: dict[str, dict[str, Any]] = {
        "PyTorch": {**blank, "runtime": "PyTorch", "precision": "fp32", "bytes": size}
    }
    with _frozen_copy(net) as still, cpu_threads(1):
        images = _in_parts(still, measured)
        calls: dict[str, Callable[[], object]] = {"PyTorch": lambda: still(measured[:1])}
        for precision, make in makers.items():
            row = rows[precision] = {**blank, "precision": precision}
            try:
                path = make()
                answer = session(path)
                found = _in_parts(answer, measured)
            except Exception as error:  # the reason stands in the table, the others go on
                row["note"] = f"{type(error).__name__}: {error}".splitlines()[0]
                continue
            calls[precision] = functools.partial(answer, measured[:1])
            row |= {"file": path.name, "bytes": path.stat().st_size, **_quality(found, images)}
        taken = metrics.latency(calls, passes)
    for key, seconds in taken.items():
        rows[key]["latency_ms"] = 1000 * seconds
    return pd.DataFrame([*rows.values()], columns=COLUMNS)


@contextmanager
def _frozen_copy(net: nn.Module) -> Iterator[nn.Module]:
    """A frozen copy on the CPU that adds the noise maps it stores; no gradients."""
    net = frozen(copy.deepcopy(net).cpu())
    with stored_noise(net), torch.no_grad():
        yield net


def _convert(net: nn.Module, example: Tensor, free: bool) -> bytes:
    optional("onnxscript", REMEDY)
    names = {0: "batch"} | ({2: "height", 3: "width"} if free else {})
    any_size = {axis: torch.export.Dim.DYNAMIC for axis in names}
    pair = torch.cat([example, example])[:2]  # a batch of one would be taken for a constant
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of torch's exporter about torch
            # Strict: only Dynamo follows a batch through len(x).
            traced = torch.export.export(net, (pair,), dynamic_shapes=(any_size,), strict=True)
            program = torch.onnx.export(
                traced,
                (pair,),
                input_names=["input"],
                output_names=["image"],
                dynamic_shapes=(names,),
                dynamo=True,
                verbose=False,
            )
    except Exception as error:  # Dynamo, the exporter and ONNX have no error in common
        raise OnnxError(
            f"{type(net).__name__} cannot be exported from an input of {tuple(example.shape)} "
            f"({type(error).__name__}: {' '.join(str(error).split())[:200]}): make its forward of "
            "tensor operations alone, or keep height and width with sizes=False"
        ) from error
    model = cast(Any, program).model_proto
    for node in (*model.graph.node, *(n for f in model.functions for n in f.node)):
        del node.metadata_props[:]  # stack traces, of this machine
    # onnxruntime finds shapes itself, and half() trips over those of weights that two nodes share.
    del model.graph.value_info[:]
    return model.SerializeToString()


def session(file: str | Path | bytes) -> Callable[[Tensor], Tensor]:
    """An ONNX file, or what one holds, as a function, run on one thread of the CPU."""
    onnxruntime = optional("onnxruntime", REMEDY)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads, options.log_severity_level = 1, 3
    found = onnxruntime.InferenceSession(file, options, providers=["CPUExecutionProvider"])
    return lambda x: torch.from_numpy(found.run(None, {"input": x.numpy()})[0])


def _is_image(x: Tensor) -> bool:
    return x.ndim == 4 and x.shape[2:].numel() > 1


def _takes(net: nn.Module, x: Tensor) -> bool:
    try:
        net(x)
    except (RuntimeError, ValueError):
        return False
    return True


def _probes(net: nn.Module, example: Tensor, free: bool) -> Iterator[Tensor]:
    """Random inputs: normal noise, or images with the example's range in each channel."""
    rng = torch.Generator().manual_seed(0)
    if not _is_image(example):
        yield from (torch.randn(n, *example.shape[1:], generator=rng) for n in (1, 3, 5))
        return
    channels, height, width = example.shape[1:]
    low, high = example.amin((0, 2, 3), True), example.amax((0, 2, 3), True)
    for n, taller, wider in ((1, 0, 0), (3, 1, 3), (5, height, 0)):
        size = (height + taller, width + wider) if free else (height, width)
        probe = low + (high - low) * torch.rand(n, channels, *size, generator=rng)
        if _takes(net, probe):  # a network may ask for even sizes
            yield probe


def _beside(path: str | Path, precision: str, content: bytes) -> Path:
    target = Path(path).with_suffix(f".{precision}.onnx")
    files.write(target, content)
    return target


def _in_parts(answer: Callable[[Tensor], Tensor], inputs: Tensor) -> Tensor:
    return torch.cat([answer(part) for part in inputs.split(1)])


def _quality(found: Tensor, images: Tensor) -> dict[str, float]:
    gap = (found - images).abs()
    quality = {"max_difference": gap.max().item(), "mean_difference": gap.mean().item()}
    if _is_image(images) and found.isfinite().all():
        # All as one image: the mean of several is infinite if one of them is met exactly.
        a, b = (x.flatten(0, 2)[None, None] for x in (found, images))
        quality["psnr"] = metrics.psnr(a, b).item()
    return quality
