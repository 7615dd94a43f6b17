"""Measure everything: JSON lines, then a table, then a file under ``results``.

    python -m benchmarks [--device cuda] [--compile] [--only WORD] [--threads N ...] [--markdown]

Process CPU time (on a GPU the device's own clock), medians, at one thread and at two.
"""

import argparse
import json
import os
import platform
import sys
import time
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch

from benchmarks.cases import CASES, COUNTS, Case, Count, How
from benchmarks.measure import compare, threads
from ganzip import files

RESULTS = Path(__file__).parent / "results"


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("--device", default="cpu", choices=("cpu", "cuda"))
    parser.add_argument("--compile", action="store_true", help="measure torch.compile on a CPU too")
    parser.add_argument("--only", default="", metavar="WORD", help="cases whose name has the word")
    parser.add_argument("--threads", type=int, nargs="+", default=(1, 2), metavar="N")
    parser.add_argument("--markdown", action="store_true", help="print the kept results, no run")
    asked = parser.parse_args()
    path = RESULTS / f"{asked.device}.json"
    if asked.markdown:
        print(markdown(json.loads(path.read_text())["results"]))
        return
    # Singular products have no proper square root, which the slow reference's scipy says.
    warnings.filterwarnings("ignore", "(?s).*(singular|square root)")
    RESULTS.mkdir(exist_ok=True)
    kept: dict[str, Any] = {}
    partial = asked.only or tuple(asked.threads) != (1, 2)
    if partial and path.exists():  # what is not measured anew stays
        kept = {key(found): found for found in json.loads(path.read_text())["results"]}
    for found in measure(asked.device, asked.compile, asked.only, asked.threads):
        kept[key(found)] = found
        results = {"machine": machine(asked.device), "results": list(kept.values())}
        files.write(path, (json.dumps(results, indent=1) + "\n").encode())
    print("\n" + markdown(list(kept.values())))


def key(found: Mapping[str, Any]) -> str:
    """What a result is of."""
    return f"{found['name']}, {found['threads']}"


def measure(
    device: str, compiled: bool, only: str, counts: Sequence[int]
) -> Iterator[dict[str, Any]]:
    """Every case, printed as it is done; the time left goes to stderr."""
    jobs: list[tuple[Count | Case, int, str]] = [(count, 1, "") for count in COUNTS]
    for n in counts if device == "cpu" else (torch.get_num_threads(),):
        for case in CASES:
            switches = case.switches if device == "cuda" else ()
            if compiled and device == "cpu" and "compile" in case.switches:
                switches = ("compile",)
            jobs += [(case, n, switch) for switch in ("", *switches)]
    jobs = [job for job in jobs if only in job[0].name]
    start = time.monotonic()
    for i, (case, n, switch) in enumerate(jobs):
        spent = time.monotonic() - start
        left = f", about {spent / i * (len(jobs) - i):.0f} s left" if i else ""
        print(f"{i + 1} of {len(jobs)}, {spent:.0f} s{left}: {case.name}", file=sys.stderr)
        found = counted(case) if isinstance(case, Count) else timed(case, n, How(device, switch))
        print(json.dumps(found), flush=True)
        yield found


def timed(case: Case, n: int, how: How) -> dict[str, Any]:
    """One case with so many threads."""
    with threads(n), ExitStack() as stack:
        found = compare(case.build(how, stack), case.repeats, warm=case.warm, device=how.device)
    ratio = found.cpu if how.device == "cpu" else found.wall
    tolerance = 0.1 if how.switch == "bf16" else case.tolerance
    agree = found.difference <= (tolerance if how.device == "cpu" else max(tolerance, 1e-2))
    verdict = ("met" if ratio >= case.goal else "missed") if agree else "outputs differ"
    return line(
        case.name + (f", {how.switch}" if how.switch else ""), ratio, f">= {case.goal:g}", verdict,
        found.difference, n, case.repeats, how.device, wall=found.wall, cpu=found.cpu,
    )  # fmt: skip


def counted(case: Count) -> dict[str, Any]:
    """One count, which no machine changes."""
    number = case.count()
    verdict = "" if case.good is None else "met" if case.good(number) else "missed"
    return line(case.name, number, case.goal, verdict, 0.0, 1, 1, "any")


def line(
    name: str,
    ratio: float,
    goal: str,
    verdict: str,
    difference: float,
    n: int,
    repeats: int,
    device: str,
    *,
    wall: float | None = None,
    cpu: float | None = None,
) -> dict[str, Any]:
    """One result."""
    return {
        "name": name,
        "ratio": rounded(ratio),
        "goal": goal,
        "verdict": verdict,
        "difference": rounded(difference),
        "threads": n,
        "repeats": repeats,
        "cpu_ratio": rounded(cpu),
        "wall_ratio": rounded(wall),
        "device": device,
        "torch": torch.__version__,
        "python": platform.python_version(),
    }


def rounded(x: float | None) -> float | None:
    """Three digits."""
    return None if x is None else float(f"{x:.3g}")


def markdown(lines: list[dict[str, Any]]) -> str:
    """A table: one row a benchmark, its ratios at one thread and at two beside the goal."""
    rows: dict[str, list[dict[str, Any]]] = {}
    for found in lines:
        rows.setdefault(found["name"], []).append(found)
    most = max(len(found) for found in rows.values())
    heads = ["1 thread", "2 threads"] if most == 2 else ["ratio"]
    out = [
        " | ".join(["| what", "goal", *heads, "difference", "verdict |"]),
        "|---" * (4 + len(heads)) + "|",
    ]
    for name, found in rows.items():
        ratios = [f"{each['ratio']:,}" for each in found]
        ratios += [""] * (len(heads) - len(ratios))
        apart = max(each["difference"] for each in found)
        verdicts = {each["verdict"] for each in found}
        verdict = verdicts.pop() if len(verdicts) == 1 else "met at one thread count only"
        cells = [name, found[0]["goal"], *ratios, f"{apart:.0e}" if apart else "", verdict]
        out.append(f"| {' | '.join(cells)} |")
    return "\n".join(out)


def machine(device: str) -> dict[str, Any]:
    """What the numbers were measured on."""
    model = platform.processor() or platform.machine()
    info = Path("/proc/cpuinfo")
    if info.exists():
        named = [x for x in info.read_text().splitlines() if x.startswith("model name")]
        model = named[0].partition(":")[2].strip() if named else model
    packages = ("torch", "numpy", "scipy")
    return {
        "cpu": model,
        "cores": os.cpu_count(),
        "gpu": torch.cuda.get_device_name() if device == "cuda" else None,
        "instructions": torch.backends.cpu.get_cpu_capability(),
        "python": platform.python_version(),
        **{package: version(package) for package in packages},
    }


if __name__ == "__main__":
    main()
