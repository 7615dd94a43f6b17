"""What a reader sees of kept runs: the pages in figures/, README's tables and the front figure.

    python -m ganzip.report.pages          write figures/RESULTS.md, figures/<paper>/README.md,
                                   figures/runs.csv, figures/front.png, figures/<paper>/networks.png
                                   and README's blocks
    python -m ganzip.report.pages --check  tell which pages are out of date

The texts are templates in ``ganzip/report/templates``; their numbers come from the rows. A block
of README stands between ``<!-- name -->`` and ``<!-- /name -->``, a name of :data:`BLOCKS`.
"""

from __future__ import annotations

import argparse
import json
import re
import shlex
import sys
import zipfile
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from functools import cache, partial
from pathlib import Path
from typing import Any

import jinja2
import pandas as pd

from ganzip import bundles, data, explore, files, metrics, papers, runs, zoo
from ganzip.nets import dcgan
from ganzip.papers import judging
from ganzip.report import figures, keeping, ongoing, tables

OURS = "NICKEL & DiME"
PAPERS = {"dcgan_kd": "A", "sdakd": "B", "nickel_dime": "C"}
BLOCKS = ("front", "get", "papers", "found")
FOLDED = 20  # rows; longer tables are folded
SETS = {
    "mnist": "MNIST",
    "cifar10": "CIFAR-10",
    "faces-lfw-112": "LFW faces",
    "faces-ffhq-style-256": "FFHQ-style faces",
    "photos-bsds-train": "BSDS photos",
}


# What the rows say --------------------------------------------------------------------------------


def label(place: Path) -> str:
    """A short name of a run: its preset and data, and how far beyond the preset it goes."""
    told = keeping.described(place)
    embedded = "photos" if place.parent.name == "sdakd" else "digits"
    parts = [part.rpartition(":")[2] for part in re.split("[,;+]", told["data"]) if part]
    names = [Path(part).stem for part in parts] or [embedded]
    shown = " and ".join(dict.fromkeys(SETS.get(name, name) for name in names))
    more = [f"scale {told['scale']:g}"] * (told["scale"] != 1)
    more += [f"{told['seeds']} seeds"] * bool(told["seeds"])
    return ", ".join([told["preset"], shown, *more])


def claims(paper: str) -> pd.DataFrame:
    """Claims of a paper: published, ours in the reference run, and verdicts of all kept runs."""
    first, *others = keeping.runs_of(paper)
    table = pd.read_csv(first / "claims.csv").rename(columns={"ours": label(first)})
    for place in others:
        found = pd.read_csv(place / "claims.csv")
        said = zip(found["claim"], found["verdict"], strict=True)
        verdicts = {_plain(claim): verdict for claim, verdict in said}
        table[label(place)] = [verdicts.get(_plain(claim), "") for claim in table["claim"]]
    return table


def _plain(claim: str) -> str:
    """A claim without the name of the features that measured it."""
    return re.sub(r"\b(FD|KID|FID)(-[\w-]+)?\b", "distance", claim)


def counted(verdicts: Iterable[str]) -> str:
    """How many verdicts of each name, as "13 supported, 2 contradicted"."""
    counts = Counter(verdicts)
    return ", ".join(f"{counts[name]} {name}" for name in VERDICTS if name in counts)


VERDICTS = ("supported", "contradicted", "inconclusive")


def status() -> pd.DataFrame:
    """Every table and figure of the papers: published, ours in the reference run, verdicts."""
    lines = []
    for paper, item, file, pattern in papers.ITEMS:
        place = keeping.kept(paper, file)
        if paper not in PAPERS or not place.exists():
            continue
        found = pd.read_csv(keeping.kept(paper, "claims.csv"))
        on = [bool(pattern) and re.search(pattern, claim) is not None for claim in found["claim"]]
        its = found.loc[on]
        link = place.relative_to(keeping.folder()).as_posix()
        line = {"paper": PAPERS[paper], "item": f"[{item}]({link})"}
        telling = [re.search(pattern.split("|")[0], claim) is not None for claim in its["claim"]]
        if its.empty or len(its) == len(found):
            line |= {"published": "", "ours": "drawn" if its.empty else f"{len(its)} claims"}
        else:
            head = its.loc[telling].iloc[0] if any(telling) else its.iloc[0]
            ours = f"**{head['verdict']}**: {head['claim']}: {head['ours']}"
            line |= {"published": head["published"], "ours": ours}
        lines.append(line | {"verdicts": counted(its["verdict"])})
    return pd.DataFrame(lines)


def manifest() -> pd.DataFrame:
    """Every kept run: what it was given, units, CPU hours of training, where and with what."""
    lines = []
    for paper in PAPERS:
        for place in keeping.runs_of(paper):
            told = keeping.described(place)
            lines.append(
                {
                    "run": f"{paper}/{place.name}",
                    "data": told["data"] or "embedded",
                    "preset": told["preset"],
                    "scale": told["scale"],
                    "seeds, at least": told["seeds"] or "",
                    "networks": told["units"],
                    "training, CPU hours": round(told["cpu_seconds"] / 3600, 2),
                    **{k: told[k] for k in ("processor", "python", "torch", "numpy", "ganzip")},
                }
            )
    return pd.DataFrame(lines)


def values(place: Path, method: str, width: float | str, metric: str, **where: Any) -> list[float]:
    """A metric of a kept run, one value a seed; raises ValueError where there is none."""
    rows = _rows(place)
    wanted = {"method": method, "width": str(width).removesuffix(".0"), "metric": metric, **where}
    for column, value in wanted.items():
        rows = rows.loc[rows[column] == value]
    if rows.empty:
        raise ValueError(f"{place.name} has no rows of {wanted}")
    return rows["value"].tolist()


@cache
def _rows(place: Path) -> pd.DataFrame:
    """A run's rows, their widths as text: 0.1, 1/4, 2."""
    rows = pd.read_csv(place / "rows.csv", dtype={"width": str}, low_memory=False)
    return rows.assign(width=rows["width"].fillna("").str.removesuffix(".0"))


def mean(
    place: Path, method: str, width: float | str, metric: str, digits: int = 2, **where: Any
) -> str:
    """The mean of :func:`values` as a text."""
    found = values(place, method, width, metric, **where)
    return f"{sum(found) / len(found):.{digits}f}"


def spread(
    place: Path, method: str, width: float | str, metric: str, digits: int = 0, **where: Any
) -> str:
    """Mean and standard deviation of :func:`values`, as "130 ± 18"."""
    return _spread(pd.Series(values(place, method, width, metric, **where)), digits)


def variant(paper: str, metric: str, digits: int = 0, **where: Any) -> str:
    """The same of a paper's variants, presets with other numbers: figures/<paper>/variants.csv."""
    rows = pd.read_csv(keeping.folder() / paper / "variants.csv")
    for column, value in where.items():
        rows = rows.loc[rows[column] == value]
    if rows.empty or rows["seed"].duplicated().any():
        raise ValueError(f"variants of {paper}: {where} are {len(rows)} rows, expected one a seed")
    return _spread(pd.Series(rows[metric]), digits)


def _spread(found: pd.Series, digits: int) -> str:
    text = f"{found.mean():.{digits}f}"
    return text if len(found) < 2 else f"{text} ± {found.std():.{digits}f}"


def speed(case: str) -> str:
    """How many times as fast as its plain form a case of the kept benchmarks is, on one thread."""
    path = runs.repository() / "benchmarks" / "results" / "cpu.json"
    found = [each for each in json.loads(path.read_text())["results"] if each["name"] == case]
    return f"{next(each for each in found if each['threads'] == 1)['ratio']:.1f}"


# The front figure ---------------------------------------------------------------------------------


def front_figure() -> Any:
    """Quality against what is saved, of the reference run of each paper, over pictures."""
    A, B, C = map(keeping.reference, PAPERS)
    d, full = min(_widths(A, "mse")), max(_widths(A, "regular"))
    digits = {"teacher": f"regular-d{full:g}-seed0", f"taught\nd = {d:g}": f"mse-d{d:g}-seed0"}
    digits |= {f"alone\nd = {d:g}": f"regular-d{d:g}-seed0"}
    p = round(1 - min(_widths(C, OURS)), 4)
    pruned = {"teacher": "teacher-seed0", f"N & D\np = {p:g}": f"nickel-dime-p{p * 100:.0f}-seed0"}
    pruned |= {f"CAGC\np = {p:g}": f"cagc-p{p * 100:.0f}-seed0"}
    pruning = {"fine-tune": "fine-tuned", "CAGC": "CAGC", OURS: "N & D"}
    photos = _seen(B, "realesrgan-sdakd-c14-seed0", "figure4")
    return figures.front(
        {
            f"A. DCGAN, {_data(A, 'DCGAN')}": (
                shrunk(A, {"regular": "alone", "mse": "taught"}, "FD-", ("regular", full)),
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


def networks_figure(paper: str) -> Any:
    """What the generators of the zoo draw, the same noise in every column; None without any."""
    found = explore.kept(paper)
    if not found:
        return None
    teachers = [one for one in found if one.teacher is None]
    z = judging.noise(16, found[0].latent)
    students = sorted((one for one in found if one.teacher), key=lambda one: one.label)
    return figures.sample_grid({one.label: one.draw(z) for one in (*teachers, *students)})


def _widths(place: Path, method: str) -> list[float]:
    """The sizes of a method's networks that a run has rows of."""
    rows = pd.read_csv(place / "rows.csv", low_memory=False)
    return [float(width) for width in rows.loc[rows["method"] == method, "width"].unique()]


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


# Pages --------------------------------------------------------------------------------------------


def compact(frame: pd.DataFrame, without: Sequence[str] = ()) -> tuple[pd.DataFrame, str]:
    """A table for the eye, and in words what its budget columns say where all rows agree.

    NAME_mean and NAME_std become one column, "1.00 ± 0.10". ``without``: patterns of columns.
    """
    columns = [c for c in frame if not any(re.fullmatch(each, c) for each in without)]
    texts = tables.tidy(frame.loc[:, columns])
    shown: dict[str, Any] = {}
    for column in columns:
        stem = column.removesuffix("mean")
        spread = f"{stem}std"
        if column.endswith("std") and f"{column.removesuffix('std')}mean" in columns:
            continue
        if stem != column and spread in columns:
            more = (" ± " + texts[spread]).where(texts[spread] != "", "")
            shown[stem.rstrip("_") or "mean ± std"] = texts[column] + more
        else:
            shown[stem.rstrip("_") or column] = texts[column]
    said = {name: set(cells) - {""} for name, cells in shown.items()}
    same = [name for name in (*tables.BUDGET, *MORE) if len(said.get(name, ())) == 1]
    notes = [f"{name.replace('_', ' ')}: {max(said[name])}" for name in same]
    kept = {name: shown[name] for name in shown if said[name] and name not in same}
    table = pd.DataFrame(kept).rename(columns=lambda name: name.replace("_", " "))
    return table, "; ".join(notes)


MORE = ("data", "our_metric", "stands_for", "device", "threads", "passes")


def table(place: Path, file: str, caption: str, without: Sequence[str] = ()) -> str:
    """A kept table as Markdown with a caption, folded where long; "" where it is not kept."""
    if not (place / file).exists():
        return ""
    shown, notes = compact(pd.read_csv(place / file), without)
    text = tables.markdown(shown)
    said = f"**{caption}** ([csv]({place.name}/{file}){'; ' + notes if notes else ''})"
    if len(shown) <= FOLDED:
        return f"{said}\n\n{text}"
    fold = f"<details><summary>{len(shown)} rows</summary>\n\n{text}\n\n</details>"
    return f"{said}\n\n{fold}"


def figure(place: Path, file: str, title: str, caption: str) -> str:
    """A kept figure with a caption that says what to see; "" where it is not kept."""
    if not (place / file).exists():
        return ""
    return f"**{title}.** {caption}\n\n![{title}]({place.name}/{file})"


def command(place: Path) -> str:
    """What makes a run again."""
    told = keeping.described(place)
    usual = {"preset": "cpu", "data": "", "scale": 1, "seeds": 0}
    given = {k.upper(): told[k] for k, v in usual.items() if told[k] != v}
    words = [f"{k}={v:g}" if isinstance(v, float) else f"{k}={v}" for k, v in given.items()]
    folder = ["GANZIP_DATA=/your/data"] if told["data"] else []
    words = [shlex.quote(word) for word in (f"PAPER={place.parent.name}", *words, *folder)]
    return " ".join(["make reproduce", *words])


def rendered() -> dict[Path, str]:
    """Every page by its path."""
    root = keeping.folder()
    found = {root / "RESULTS.md": _template("results.md").render()}
    for paper in PAPERS:
        place = keeping.reference(paper)
        its = {"paper": paper, "letter": PAPERS[paper], "place": place}
        its |= {"table": partial(table, place), "figure": partial(figure, place)}
        found[root / paper / "README.md"] = _template(f"{paper}.md").render(its)
    found[root / "your_own_gan" / "README.md"] = _template("your_own_gan.md").render()
    readme = runs.repository() / "README.md"
    return found | {readme: written(readme.read_text())}


def written(text: str) -> str:
    """README's text with its blocks as they are to be."""
    for name in BLOCKS:
        block = _template(f"readme-{name}.md").render().strip()
        place = re.compile(rf"(<!-- {name} -->\n).*?(<!-- /{name} -->)", re.S)
        if not place.search(text):
            raise ValueError(f"README.md has no block <!-- {name} --> ... <!-- /{name} -->")
        text = place.sub(lambda found, block=block: f"{found[1]}{block}\n{found[2]}", text)
    return text


def _template(name: str) -> jinja2.Template:
    """A template, with all that one may call."""
    own = keeping.folder() / "your_own_gan"
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(Path(__file__).parent / "templates"),
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
        autoescape=False,
    )
    called = (
        claims,
        command,
        compact,
        counted,
        label,
        manifest,
        mean,
        speed,
        spread,
        status,
        variant,
    )
    environment.globals |= {function.__name__: function for function in called}
    environment.globals |= {
        "run": lambda paper, name: keeping.folder() / paper / name,
        "described": keeping.described,
        "reference": keeping.reference,
        "runs_of": keeping.runs_of,
        "ongoing": ongoing.runs_of,
        "so_far": ongoing.table,
        "networks": zoo.overview,
        "markdown": tables.markdown,
        "read": pd.read_csv,
        "letters": PAPERS,
        "items": [item for item in papers.ITEMS if item[0] in PAPERS],
        "notebooks": keeping.NAMES,
        "own": own,
        "figures": keeping.folder(),
        "dcgan_parameters": lambda d, c: metrics.params(dcgan.Generator(d, channels=c)),
    }
    return environment.get_template(name)


def main(arguments: Sequence[str] | None = None) -> int:
    """Do what the command line says; returns the exit status."""
    parser = argparse.ArgumentParser(
        "python -m ganzip.report.pages", description="Pages from kept runs."
    )
    parser.add_argument("--check", action="store_true")
    its = parser.parse_args(arguments)
    pages = rendered()
    old = {path: path.read_text() if path.exists() else "" for path in pages}
    changed = [str(path) for path, text in pages.items() if text != old[path]]
    if its.check:
        print("\n".join(changed) + " out of date: make figures" if changed else "all up to date")
        return int(bool(changed))
    for path, text in pages.items():
        files.write(path, text.encode())
    tables.save(manifest(), keeping.folder() / "runs.csv")
    figures.save(front_figure(), keeping.folder(), "front")
    for paper in PAPERS:
        for place in ongoing.runs_of(paper):
            if (drawn := ongoing.curves(place)) is not None:
                figures.save(drawn, place, ongoing.CURVES)
        if (shown := networks_figure(paper)) is not None:
            figures.save(shown, keeping.folder() / paper, "networks")
    return 0


if __name__ == "__main__":
    sys.exit(main())
