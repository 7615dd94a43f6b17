"""The front page: what README shows of kept runs, made from them.

    python -m ganzip.page          write README's tables, figures/front.png and figures/runs.csv
    python -m ganzip.page --check  tell whether README is up to date

A block of README stands between ``<!-- name -->`` and ``<!-- /name -->``, a name of :func:`blocks`.
"""

from __future__ import annotations

import argparse
import json
import re
import sys
import zipfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from ganzip import batch, bundles, data, figures, files, keeping, papers, runs, tables

SIGNS: dict[str, str] = {
    "supported": "✓",
    "contradicted": "✗",
    "inconclusive": "?",
}
OURS = "NICKEL & DiME"
PAPERS = {"dcgan_kd": "A", "sdakd": "B", "nickel_dime": "C"}
SHORT = {
    "faces-ffhq-style-256+photos-bsds-train": "faces, BSDS photos",
    "faces-lfw-112": "LFW",
}


def kept(paper: str) -> list[Path]:
    """Kept runs of a paper, the reference first."""
    first = keeping.folder() / paper / papers.REFERENCE[paper]
    return [first, *(p for p in sorted(first.parent.iterdir()) if p != first and p.is_dir())]


def label(place: Path) -> str:
    """A short name of a run: its data, and how far beyond the preset it goes."""
    sets = {"dcgan_kd": "digits", "sdakd": "photos", "nickel_dime": "digits"}
    name = place.name.removeprefix("cpu").lstrip("-")
    for long, short in SHORT.items():
        name = name.replace(long, short)
    return re.sub(r"-(x[\d.]+|s\d+)", r" \1", name) or sets[place.parent.name]


def claims(paper: str) -> pd.DataFrame:
    """Claims of a paper: published, ours in the reference run, and verdicts of all kept runs."""
    first, *others = kept(paper)
    table = pd.read_csv(first / "claims.csv")
    table = table.assign(verdict=[SIGNS[said] for said in table["verdict"]])
    table = table.rename(columns={"ours": label(first)})
    for place in others:
        found = pd.read_csv(place / "claims.csv")
        said = zip(found["claim"], found["verdict"], strict=True)
        signs = {_plain(claim): SIGNS[verdict] for claim, verdict in said}
        table[label(place)] = [signs.get(_plain(claim), "") for claim in table["claim"]]
    return table


def _plain(claim: str) -> str:
    """A claim without the name of the features that measured it."""
    return re.sub(r"\b(FD|KID|FID)(-[\w-]+)?\b", "distance", claim)


def status() -> pd.DataFrame:
    """Every table and figure of the papers: published, ours in the reference run, verdicts."""
    lines = []
    for paper, item, file, pattern in papers.ITEMS:
        if paper not in PAPERS:
            continue
        found = pd.read_csv(kept(paper)[0] / "claims.csv")
        on = [bool(pattern) and re.search(pattern, claim) is not None for claim in found["claim"]]
        its = found.loc[on]
        line = {"paper": PAPERS[paper], "item": f"[{item}](figures/{papers.kept(paper, file)})"}
        telling = [re.search(pattern.split("|")[0], claim) is not None for claim in its["claim"]]
        if its.empty or len(its) == len(found):
            line |= {"published": "", "ours": "drawn" if its.empty else f"{len(its)} claims"}
        else:
            head = its.loc[telling].iloc[0]
            ours = f"{SIGNS[head['verdict']]} {head['claim']}: {head['ours']}"
            line |= {"published": head["published"], "ours": ours}
        counts = its["verdict"].value_counts().to_dict()
        signs = (f"{counts[said]} {sign}" for said, sign in SIGNS.items() if said in counts)
        line["verdicts"] = ", ".join(signs)
        lines.append(line)
    return pd.DataFrame(lines)


def manifest() -> pd.DataFrame:
    """Every kept run: data, scale, units, seeds, CPU hours of training, where and with what."""
    lines = []
    for paper in PAPERS:
        for place in kept(paper):
            with zipfile.ZipFile(place / keeping.RUN) as held:
                given = batch.given_of(held, place / keeping.RUN)
                here = json.loads(held.read(batch.HEADER))
                inside = [n for n in held.namelist() if n.endswith("/manifest.json")]
                units = [json.loads(held.read(name)) for name in inside]
            lines.append(
                {
                    "run": f"{paper}/{place.name}",
                    "data": given.data or "embedded",
                    "preset": given.preset,
                    "scale": given.scale,
                    "seeds, at least": given.seeds or "",
                    "units": len(units),
                    "training, CPU hours": round(sum(u["cpu_seconds"] for u in units) / 3600, 2),
                    "processor": here["processor"],
                    "python": here["python"],
                    "torch": here["torch"],
                    "numpy": here["numpy"],
                    "ganzip": here["ganzip"],
                }
            )
    return pd.DataFrame(lines)


# The front figure ---------------------------------------------------------------------------------


def front_figure() -> Any:
    """Quality against what is saved, of the reference run of each paper, over pictures."""
    A, B, C = (kept(paper)[0] for paper in PAPERS)
    digits = {"teacher": "regular-d16-seed0", "taught\nd = 2": "mse-d2-seed0"}
    digits |= {"alone\nd = 2": "regular-d2-seed0"}
    pruned = {"teacher": "teacher-seed0", "N & D\np = 0.9": "nickel-dime-p90-seed0"}
    pruned |= {"CAGC\np = 0.9": "cagc-p90-seed0"}
    pruning = {"fine-tune": "fine-tuned", "CAGC": "CAGC", OURS: "N & D"}
    photos = _seen(B, "realesrgan-sdakd-c14-seed0", "figure4")
    return figures.front(
        {
            f"A. DCGAN, {_data(A, 'DCGAN')}": (
                shrunk(A, {"regular": "alone", "mse": "taught"}, "FD-", ("regular", 16.0)),
                "Fréchet distance, lower is better",
                {label: _seen(A, unit, "samples")[:6] for label, unit in digits.items()},
            ),
            f"B. Real-ESRGAN, {_data(B, 'RealESRGAN')}": (
                shrunk(
                    B,
                    {"control GT": "control", "naive (C,C)": "naive", "SDAKD": "SDAKD"},
                    "KID-.* test mean",
                    ("teacher", "1"),
                    {"input": "enlarged input"},
                    network="RealESRGAN",
                ),
                "kernel distance, lower is better",
                {
                    "input": photos["input, 4x"],
                    "C = 1/4": photos["C = 1/4"],
                    "teacher": photos["teacher"],
                },
            ),
            f"C. StyleGAN2, {_data(C, 'StyleGAN2')}": (
                shrunk(C, pruning, "FD-", ("teacher", 1.0)),
                "Fréchet distance, lower is better",
                {label: _seen(C, unit, "samples")[:6] for label, unit in pruned.items()},
            ),
        }
    )


def _data(place: Path, network: str) -> str:
    """The data set of a network's rows."""
    rows = pd.read_csv(place / "rows.csv")
    found = rows.loc[(rows["network"] == network) & (rows["method"] != "speed"), "dataset"]
    name = str(found.iloc[-1]).replace("mnist", "MNIST")
    return name.replace("photos-bsds-train", "BSDS photos")


def shrunk(
    place: Path,
    methods: Mapping[str, str],
    metric: str,
    teacher: tuple[str, object],
    levels: Mapping[str, str] | None = None,
    **where: str,
) -> pd.DataFrame:
    """Mean and spread of a metric, a regular expression, by method and ratio of parameters.

    teacher: its method and width. levels: methods without parameters, by what they are called.
    """
    rows = pd.read_csv(place / "rows.csv")
    for column, value in where.items():
        rows = rows.loc[rows[column] == value]
    rows = rows.loc[rows["method"].isin([*methods, teacher[0], *(levels or {})])]
    sizes = rows.loc[rows["metric"] == "parameters"].set_index("unit_key")["value"]
    rows = rows.loc[rows["metric"].str.fullmatch(metric + "[^ ]*")]
    rows = rows.assign(parameters=rows["unit_key"].map(sizes))
    name, width = teacher
    full = rows.loc[(rows["method"] == name) & (rows["width"].astype(str) == str(width))]
    mine = rows.loc[rows["method"].isin(list(methods)) & ~rows["unit_key"].isin(full["unit_key"])]
    ratio = (full["parameters"].iloc[0] / mine["parameters"]).round(2)
    drawn = mine.assign(ratio=ratio).groupby(["method", "ratio"])["value"].agg(["mean", "std"])
    flat = {"teacher": full}
    flat |= {said: rows.loc[rows["method"] == name] for name, said in (levels or {}).items()}
    level = pd.DataFrame(
        [{"method": m, "ratio": 1.0, "mean": found["value"].mean()} for m, found in flat.items()]
    )
    parts = [drawn.loc[[method]].reset_index().assign(method=methods[method]) for method in methods]
    return pd.concat([level, *parts], ignore_index=True)


def _seen(place: Path, unit: str, name: str) -> Any:
    """Pictures that a kept run holds of a unit: one batch, or several by label."""
    with zipfile.ZipFile(place / keeping.RUN) as held:
        (path,) = [n for n in held.namelist() if re.search(rf"/{unit}-\w+/shown/{name}\.pt", n)]
        found = bundles.shown(held, path)
    if isinstance(found, dict):
        return {label: data.to_float(images) for label, images in found.items()}
    return data.to_float(found)


# README -------------------------------------------------------------------------------------------


def blocks() -> dict[str, str]:
    """README's tables by name."""
    root = keeping.folder()
    own = root / "your_own_gan"
    tables_of = {f"claims {PAPERS[paper]}": claims(paper) for paper in PAPERS}
    tables_of |= {"status": status(), "runs": manifest()}
    tables_of["matrix"] = pd.read_csv(own / "matrix.csv").fillna("")
    found = {name: tables.markdown(table) for name, table in tables_of.items()}
    return found | {"own": tables.markdown(pd.read_csv(own / "cpu" / "deployed.csv"), 3)}


def written(text: str) -> str:
    """README's text with its blocks as they are to be."""
    for name, block in blocks().items():
        place = re.compile(rf"(<!-- {name} -->\n).*?(<!-- /{name} -->)", re.S)
        if not place.search(text):
            raise ValueError(f"README.md has no block <!-- {name} --> ... <!-- /{name} -->")
        text = place.sub(lambda found, block=block: f"{found[1]}{block.strip()}\n{found[2]}", text)
    return text


def main(arguments: Sequence[str] | None = None) -> int:
    """Do what the command line says; returns the exit status."""
    parser = argparse.ArgumentParser("python -m ganzip.page", description="README from kept runs.")
    parser.add_argument("--check", action="store_true")
    its = parser.parse_args(arguments)
    path = runs.repository() / "README.md"
    text = path.read_text()
    new = written(text)
    if its.check:
        print("README.md is", "up to date" if new == text else "out of date: make page")
        return int(new != text)
    files.write(path, new.encode())
    tables.save(manifest(), keeping.folder() / "runs.csv")
    figures.save(front_figure(), keeping.folder(), "front")
    return 0


if __name__ == "__main__":
    sys.exit(main())
