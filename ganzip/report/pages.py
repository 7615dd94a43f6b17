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
from collections.abc import Mapping, Sequence
from functools import cache, partial
from pathlib import Path
from typing import Any

import jinja2
import pandas as pd
from matplotlib.figure import Figure
from torch import Tensor

from ganzip import export, files, metrics, papers, zoo
from ganzip.measure.images import images_of, noise
from ganzip.nets import dcgan
from ganzip.papers import super_resolution as sr
from ganzip.papers import your_own_gan_rows
from ganzip.report import effects, enlargements, figures, keeping, ongoing, tables
from ganzip.report.effects import tally

OURS = "NICKEL & DiME"
PAPERS = {"dcgan_kd": "A", "sdakd": "B", "nickel_dime": "C"}
BLOCKS = ("front", "get", "papers", "found")
FOLDED = 20  # rows; longer tables are folded
# Columns that say how a table came about: in words where all its rows agree.
CONDITIONS = (*tables.BUDGET, "data", "our_metric", "stands_for", "device", "threads", "passes")


# What the rows say --------------------------------------------------------------------------------


def label(place: Path) -> str:
    """A short name of a run: its preset and data, and how far beyond the preset it goes."""
    its = keeping.summary(place)
    embedded = "photos" if place.parent.name == "sdakd" else "digits"
    parts = [part.rpartition(":")[2] for part in re.split("[,;+]", its["data"]) if part]
    names = [Path(part).stem for part in parts] or [embedded]
    sets = " and ".join(dict.fromkeys(figures.SETS.get(name, name) for name in names))
    more = [f"scale {its['scale']:g}"] * (its["scale"] != 1)
    more += [f"{its['seeds']} seeds"] * bool(its["seeds"])
    return ", ".join([its["preset"], sets, *more])


def claims(paper: str) -> pd.DataFrame:
    """Claims of a paper: published, ours in the reference run, and verdicts of all kept runs.

    Of a run that is not complete those of the claims that can be tested yet.
    """
    first, *others = keeping.runs_of(paper)
    table = pd.read_csv(first / "claims.csv").rename(columns={"ours": label(first)})
    tested = {label(place): pd.read_csv(place / "claims.csv") for place in others}
    tested |= {f"{label(each)}, so far": _so_far(each) for each in ongoing.runs_of(paper)}
    for name, its in tested.items():
        verdicts = dict(zip(map(_plain, its["claim"]), its["verdict"], strict=True))
        found = [verdicts.get(_plain(claim), "") for claim in table["claim"]]
        if any(found):
            table[name] = found
    return table


_so_far = cache(ongoing.verdicts)  # texts ask for them again and again


def _plain(claim: str) -> str:
    """A claim without the name of the features that measured it."""
    return re.sub(r"\b(FD|KID|FID)(-[\w-]+)?\b", "distance", claim)


def status() -> pd.DataFrame:
    """Every table and figure of the papers: published, ours in the reference run, verdicts.

    A pattern of ``papers.ITEMS`` picks the claims of an item; its first alternative, the one that
    is shown.
    """
    lines = []
    for paper, item, file, pattern in papers.ITEMS:
        place = keeping.file_of(paper, file)
        if paper not in PAPERS or not place.exists():
            continue
        every = pd.read_csv(keeping.file_of(paper, "claims.csv"))
        its = every.loc[every["claim"].str.contains(f"(?:{pattern})") & bool(pattern)]
        link = place.relative_to(keeping.folder()).as_posix()
        line = {"paper": PAPERS[paper], "item": f"[{item}]({link})", "published": ""}
        if its.empty or len(its) == len(every):
            line["ours"] = "drawn" if its.empty else f"{len(its)} claims"
        else:
            first = its["claim"].str.contains(pattern.split("|")[0])
            head = its.loc[first if first.any() else its.index].iloc[0]
            line["published"] = head["published"]
            line["ours"] = f"**{head['verdict']}**: {head['claim']}: {head['ours']}"
        lines.append(line | {"verdicts": tally(its["verdict"])})
    return pd.DataFrame(lines)


def manifest() -> pd.DataFrame:
    """Every kept run: what it was given, units, CPU hours of training, where and with what."""
    places = [p for paper in PAPERS for p in (*keeping.runs_of(paper), *ongoing.runs_of(paper))]
    frame = pd.DataFrame(map(_counted, map(keeping.summary, places)))
    frame.insert(0, "run", [f"{place.parent.name}/{place.name}" for place in places])
    frame["data"] = frame["data"].replace("", "embedded")
    frame["seeds"] = frame["seeds"].astype(object).replace(0, "")
    frame["cpu_seconds"] = (frame["cpu_seconds"] / 3600).round(2)
    titles = {"seeds": "seeds, at least", "units": "networks"}
    frame = frame.rename(columns=titles | {"cpu_seconds": "training, CPU hours"})
    first = ["run", "data"]
    return frame.reindex(columns=[*first, *frame.columns.difference(first, sort=False)])


def _counted(facts: Mapping[str, Any]) -> dict[str, Any]:
    """A run's summary, its units as "12 of 82" where it is not complete."""
    its = dict(facts)
    planned = its.pop("planned", None)
    return its | ({} if planned is None else {"units": f"{its['units']} of {planned}"})


def values(place: Path, method: str, width: float | str, metric: str, **where: Any) -> list[float]:
    """A metric of a kept run, one value a seed; raises ValueError where there is none."""
    width = str(width).removesuffix(".0")
    where = {"method": method, "width": width, "metric": metric, **where}
    rows = _matching(_rows(place), where)
    if rows.empty:
        raise ValueError(f"{place.name} has no rows of {where}")
    if len(set(rows["network"])) > 1:
        raise ValueError(f"{place.name} has rows of {where} of several networks; say which")
    return rows["value"].tolist()


def _matching(rows: pd.DataFrame, where: Mapping[str, Any]) -> pd.DataFrame:
    return rows.loc[(rows[list(where)] == pd.Series(where)).all(axis=1)]


@cache
def _rows(place: Path) -> pd.DataFrame:
    """A run's rows, their widths as text: 0.1, 1/4, 2."""
    rows = pd.read_csv(place / "rows.csv", dtype={"width": str}, low_memory=False)
    return rows.assign(width=rows["width"].fillna("").str.removesuffix(".0"))


def mean(
    place: Path, method: str, width: float | str, metric: str, digits: int = 2, **where: Any
) -> str:
    """The mean of :func:`values` as a text."""
    numbers = values(place, method, width, metric, **where)
    return f"{sum(numbers) / len(numbers):.{digits}f}"


def spread(
    place: Path, method: str, width: float | str, metric: str, digits: int = 0, **where: Any
) -> str:
    """Mean and standard deviation of :func:`values`, as "130 ± 18"."""
    return _spread(pd.Series(values(place, method, width, metric, **where)), digits)


def seeds(place: Path, method: str, width: float | str, metric: str, **where: Any) -> str:
    """How many seeds :func:`values` are of, in words: "one seed", "3 seeds"."""
    n = len(values(place, method, width, metric, **where))
    return "one seed" if n == 1 else f"{n} seeds"


def variant(paper: str, metric: str, digits: int = 0, **where: Any) -> str:
    """The same of a paper's variants, presets with other numbers: figures/<paper>/variants.csv."""
    rows = _matching(pd.read_csv(keeping.folder() / paper / "variants.csv"), where)
    if rows.empty or rows["seed"].duplicated().any():
        raise ValueError(f"variants of {paper}: {where} are {len(rows)} rows, expected one a seed")
    return _spread(rows.loc[:, metric], digits)


def _spread(numbers: pd.Series, digits: int) -> str:
    text = f"{numbers.mean():.{digits}f}"
    return text if len(numbers) < 2 else f"{text} ± {numbers.std():.{digits}f}"


def speed(case: str) -> str:
    """How many times as fast as its plain form a case of the kept benchmarks is, on one thread."""
    path = files.repository() / "benchmarks" / "results" / "cpu.json"
    results = [each for each in json.loads(path.read_text())["results"] if each["name"] == case]
    return f"{next(each for each in results if each['threads'] == 1)['ratio']:.1f}"


# The front figure ---------------------------------------------------------------------------------


def most_trained(paper: str) -> Path:
    """The run that trained longest, complete or not; one of preset night before all others."""

    def rank(place: Path) -> tuple[bool, float]:
        its = keeping.summary(place)
        return its["preset"] == zoo.MAIN, its["cpu_seconds"]

    return max([keeping.reference(paper), *ongoing.runs_of(paper)], key=rank)


def front_figure() -> Figure:
    """Quality against what is saved, of the run of each paper that trained longest, over pictures.

    The networks that come along draw them.
    """
    A, B, C = map(most_trained, PAPERS)
    full = export.card(zoo.find("dcgan_kd/teacher")).training["d"]
    small = sorted(_widths(A, "mse"))[1::-1]
    distance = "Fréchet distance"
    return figures.front(
        [
            figures.Panel(
                f"A. DCGAN, {_data(A, 'DCGAN')}",
                ratios(A, ALONE, "FD-", ("regular", full)),
                distance,
                _samples("dcgan_kd", dict(reversed(ALONE.items())), [f"d = {d:g}" for d in small]),
            ),
            figures.Panel(
                "B. Real-ESRGAN, photos",
                ratios(
                    B,
                    ENLARGERS,
                    "KID-[^ ]+ test mean",
                    ("teacher", "1"),
                    {"input": "enlarged input"},
                    network=sr.PLAIN,
                ),
                "kernel distance (1e-3)",
                _enlargements(),
            ),
            figures.Panel(
                f"C. StyleGAN2, {_data(C, 'StyleGAN2')}",
                ratios(C, PRUNED, "FD-", ("teacher", 1.0)),
                distance,
                _samples(
                    "nickel_dime",
                    {k: PRUNED[k] for k in ("N & D", "fine-tuned")},
                    ["p = 0.7", "p = 0.9"],
                ),
            ),
        ]
    )


# The methods of the front figure by what it calls them.
ALONE = {"alone": "regular", "taught": "mse"}
ENLARGERS = {"naive": "naive (C,C)", "control": sr.CONTROL, "SDAKD": "SDAKD"}
PRUNED = {"fine-tuned": "fine-tune", "CAGC": "CAGC", "N & D": OURS}


def _enlargements() -> dict[str, Tensor]:
    """Details of photos, of the enlarged input, by the teacher and by kept students of C = 1/4."""
    networks = {"teacher": sr.load_released("cpu")}
    networks |= {label: enlargements.students()[name, "1/4"] for label, name in ENLARGERS.items()}
    shown = enlargements.enlarged(networks)
    last = {"enlarged\ninput": shown["bicubic"]}
    return enlargements.details({name: shown[name] for name in networks} | last, 48, 80)


def _samples(paper: str, methods: Mapping[str, str], sizes: Sequence[str]) -> dict[str, Tensor]:
    """Images of the same noise by the kept teacher and by networks of these methods and sizes.

    A label says how many times fewer parameters than the teacher's a network has.
    """
    table = zoo.overview(paper).set_index(["method", "size"])
    teacher = table.loc[table["network"] == f"{paper}/{zoo.TEACHER}"].iloc[0]
    chosen = {"teacher": teacher["network"]}
    for size in sizes:
        for label, method in methods.items():
            name, parameters = table.loc[(method, size), ["network", "parameters"]]
            chosen[f"{label}\n{figures.times(teacher['parameters'] / parameters)}x smaller"] = name
    z = noise(5, export.card(zoo.find(teacher["network"])).input_shape[1])
    return {label: images_of(export.load(zoo.find(name)), z) for label, name in chosen.items()}


def networks_figure(paper: str) -> Figure | None:
    """What the generators of the zoo draw, the same noise in every column; None without any.

    The largest first, and of one size the smallest distance, which the label bears. Of paper B what
    they make of photos.
    """
    if paper == "sdakd":
        return enlargements.figure()
    networks = zoo.overview(paper)
    if networks.empty:
        return None
    shown = {}
    order = networks.sort_values(["parameters", "distance"], ascending=[False, True])
    for one in order.to_dict("records"):
        path = zoo.find(one["network"])
        z = noise(16, export.card(path).input_shape[1])
        label = "teacher" if path.stem == zoo.TEACHER else figures.name(one["method"])
        label += f"\n{one['size']}, {one['metric'].partition('-')[0]} "
        label += tables.short(one["distance"], 0)
        shown[label] = images_of(export.load(path), z)
    return figures.sample_grid(shown)


def _widths(place: Path, method: str) -> list[float]:
    """The sizes of a method's networks that a run has rows of."""
    rows = _rows(place)
    return [float(width) for width in rows.loc[rows["method"] == method, "width"].unique()]


def _data(place: Path, network: str) -> str:
    """The data set of a network's rows."""
    rows = _rows(place)
    its = rows.loc[(rows["network"] == network) & (rows["method"] != "speed"), "dataset"]
    names = str(its.iloc[-1]).split("+")
    return " and ".join(dict.fromkeys(figures.SETS.get(name, name) for name in names))


def ratios(
    place: Path,
    methods: Mapping[str, str],
    metric: str,
    teacher: tuple[str, object],
    levels: Mapping[str, str] | None = None,
    **where: str,
) -> pd.DataFrame:
    """Mean and spread of a metric, a regular expression, by method and ratio of parameters.

    methods: by what they are called. teacher: its method and width. levels: methods without
    parameters, and what they are called. Of several evaluations the last counts, since that network
    is the one that teaches and is kept.
    """
    levels, (name, width) = dict(levels or {}), teacher
    rows = _matching(_rows(place), where)
    full = (rows["method"] == name) & (rows["width"] == f"{width}".removesuffix(".0"))
    rows = rows.assign(full=full).loc[full | rows["method"].isin([*methods.values(), *levels])]
    sizes = rows.loc[rows["metric"] == "parameters"].set_index("unit_key")["value"]
    last = rows["metric"].str.fullmatch(f"{metric}[^ ]* last")
    rows = rows.loc[last if last.any() else rows["metric"].str.fullmatch(f"{metric}[^ ]*")]
    full, flat = rows["full"], rows["full"] | rows["method"].isin(list(levels))
    parameters = rows["unit_key"].map(sizes)
    ratio = (parameters[full].iloc[0] / parameters).round(2).mask(flat, 1.0)
    labels = {method: label for label, method in methods.items()}
    names = rows["method"].map({**labels, **levels}).mask(full, "teacher")
    order = ["teacher", *levels.values(), *methods]
    scores = rows.assign(ratio=ratio, method=pd.Categorical(names, order))
    by = scores.groupby(["method", "ratio"], observed=True)["value"]
    return by.agg(["mean", "std"]).reset_index().astype({"method": str})


# Pages --------------------------------------------------------------------------------------------


def compact(frame: pd.DataFrame, without: Sequence[str] = ()) -> tuple[pd.DataFrame, str]:
    """A table for the eye, and in words what its ``CONDITIONS`` say where all rows agree.

    NAME_mean and NAME_std become one column, "1.00 ± 0.10". ``without``: patterns of columns.
    """
    columns = [c for c in frame if not any(re.fullmatch(each, c) for each in without)]
    texts = tables.with_spread(tables.tidy(frame.loc[:, columns]))
    texts = texts.rename(columns=lambda name: name.removesuffix("_mean"))
    texts = texts.rename(columns={"mean": "mean ± std"})
    texts = texts.loc[:, (texts != "").any()]
    values = {name: set(texts[name]) - {""} for name in CONDITIONS if name in texts}
    same = [name for name, its in values.items() if len(its) == 1]
    notes = [f"{name.replace('_', ' ')}: {values[name].pop()}" for name in same]
    rest = texts.drop(columns=same).rename(columns=lambda name: name.replace("_", " "))
    return rest, "; ".join(notes)


def table(place: Path, file: str, caption: str, without: Sequence[str] = ()) -> str:
    """A kept table as Markdown with a caption, folded where long; "" where it is not kept."""
    if not (place / file).exists():
        return ""
    rows, notes = compact(pd.read_csv(place / file), without)
    text = tables.markdown(rows)
    if len(rows) > FOLDED:
        text = f"<details><summary>{len(rows)} rows</summary>\n\n{text}\n\n</details>"
    return f"**{caption}** ([csv]({place.name}/{file}){'; ' + notes if notes else ''})\n\n{text}"


def figure(place: Path, file: str, title: str, caption: str) -> str:
    """A kept figure with a caption that says what to see; "" where it is not kept."""
    if not (place / file).exists():
        return ""
    return f"**{title}.** {caption}\n\n![{title}]({place.name}/{file})"


def command(place: Path) -> str:
    """What makes a run again."""
    its = keeping.summary(place)
    usual = {"preset": "cpu", "data": "", "scale": 1, "seeds": 0}
    settings = {k.upper(): its[k] for k, v in usual.items() if its[k] != v}
    words = [f"{k}={v:g}" if isinstance(v, float) else f"{k}={v}" for k, v in settings.items()]
    folder = ["GANZIP_DATA=/your/data"] if its["data"] else []
    words = [shlex.quote(word) for word in (f"PAPER={place.parent.name}", *words, *folder)]
    return " ".join(["make reproduce", *words])


def render() -> dict[Path, str]:
    """Every page by its path."""
    root, templates = keeping.folder(), _templates()
    pages = {root / "RESULTS.md": templates.get_template("results.md").render()}
    for paper in PAPERS:
        place = keeping.reference(paper)
        its = {"paper": paper, "letter": PAPERS[paper], "place": place}
        its |= {"table": partial(table, place), "figure": partial(figure, place)}
        pages[root / paper / "README.md"] = templates.get_template(f"{paper}.md").render(its)
    own = templates.get_template("your_own_gan.md").render()
    readme = files.repository() / "README.md"
    return pages | {root / "your_own_gan" / "README.md": own, readme: fill(readme.read_text())}


def fill(text: str) -> str:
    """README's text with its blocks as they are to be."""
    for name in BLOCKS:
        block = _templates().get_template(f"readme-{name}.md").render().strip()
        place = re.compile(rf"(<!-- {name} -->\n).*?(<!-- /{name} -->)", re.S)
        if not place.search(text):
            raise ValueError(f"README.md has no block <!-- {name} --> ... <!-- /{name} -->")
        text = place.sub(lambda match, block=block: f"{match[1]}{block}\n{match[2]}", text)
    return text


@cache
def _templates() -> jinja2.Environment:
    """The templates, with all that one may call."""
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(Path(__file__).parent / "templates"),
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
        autoescape=False,
    )
    here = "claims command compact label manifest mean seeds speed spread status tally variant"
    environment.globals |= {name: globals()[name] for name in here.split()} | {
        "run": lambda paper, name: keeping.folder() / paper / name,
        "summary": keeping.summary,
        "reference": keeping.reference,
        "runs_of": keeping.runs_of,
        "most_trained": most_trained,
        "ongoing": ongoing.runs_of,
        "so_far": ongoing.table,
        "so_far_claims": _so_far,
        "bars": ongoing.reached,
        "main_claims": lambda paper: effects.main_claims(paper, claims(paper)),
        "effects": lambda paper: effects.effects(paper, _rows(keeping.reference(paper))),
        "networks": zoo.overview,
        "markdown": tables.markdown,
        "read": pd.read_csv,
        "letters": PAPERS,
        "items": [item for item in papers.ITEMS if item[0] in PAPERS],
        "notebooks": keeping.NAMES,
        "own": keeping.folder() / "your_own_gan",
        "figures": keeping.folder(),
        "first_weights": your_own_gan_rows.first_weights,
        "taken": your_own_gan_rows.taken,
        "dcgan_parameters": lambda d, c: metrics.params(dcgan.Generator(d, channels=c)),
    }
    return environment


def main(arguments: Sequence[str] | None = None) -> int:
    """Do what the command line says; returns the exit status."""
    module = "python -m ganzip.report.pages"
    parser = argparse.ArgumentParser(module, description="Pages from kept runs.")
    parser.add_argument("--check", action="store_true")
    its = parser.parse_args(arguments)
    if its.check:
        pages = render()
        old = {path: path.read_text() if path.exists() else "" for path in pages}
        stale = [str(path) for path, text in pages.items() if text != old[path]]
        print("\n".join(stale) + " out of date: make figures" if stale else "all up to date")
        return int(bool(stale))
    tables.save(manifest(), keeping.folder() / "runs.csv")
    figures.save(front_figure(), keeping.folder(), "front")
    for paper in PAPERS:
        for place in ongoing.runs_of(paper):
            if (figure := ongoing.figure_of(place)) is not None:
                figures.save(figure, place, ongoing.CURVES)
        if (figure := networks_figure(paper)) is not None:
            figures.save(figure, keeping.folder() / paper, "networks")
    for path, text in render().items():  # a page shows the figures that there are
        files.write(path, text.encode())
    return 0


if __name__ == "__main__":
    sys.exit(main())
