"""Tables: the rows that runs leave behind, summed up over seeds, beside the published numbers.

A row is one measured value. A table is made from rows and from the csv files in `published/`; no
number is typed in. Everything here takes and returns plain pandas frames.
"""

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from ganzip import files

PUBLISHED = Path(__file__).parents[1] / "published"

# One measured value.  `width` is the size of the network in the paper's own terms: d for DCGAN, C
# for SDAKD, the kept share for NICKEL & DiME.  `n_images` is 0 where no image was measured.
ROW = (
    *("paper", "table", "method", "network", "dataset", "width", "metric", "value", "unit"),
    *("preset", "steps", "n_images", "features", "seed"),
)

# What says how a number of ours came about; a comparison never shows the number without it.
BUDGET = ("preset", "features", "seeds", "steps", "n_images")
CONDITIONS = ("seeds", "steps", "n_images", "features", "preset")  # the same, as tables end

# Paper B: the network of each table, and metrics that describe a run, by the column they become.
SDAKD_NETWORKS = {1: "GCFSR", 2: "RealESRGAN", 4: "GCFSR"}
SDAKD_NOTES = {
    "perceptual steps": "perceptual_steps",
    "blocks": "blocks",
    "parameters": "parameters",
    "multiply-adds": "multiply_adds",
}

# Keyed by the part of a metric's name before the first dash: FD-digits and FD-efflite2 are both FD.
HIGHER_IS_BETTER = {
    **dict.fromkeys(("IS", "precision", "recall", "PSNR", "SSIM"), True),
    **dict.fromkeys(("FID", "FD", "KID", "MSE", "LPIPS"), False),
}


def higher_is_better(metric: str) -> bool | None:
    """Tell the direction of a metric; None where it has none, as the Variance of Laplacian."""
    return HIGHER_IS_BETTER.get(metric.partition("-")[0])


# ------------------------------------------------------------------------------------ reading


def published(paper: str, table: str | int) -> pd.DataFrame:
    """Read a published table, its values unchanged; a cell that is blank in the paper is NaN.

    `published("dcgan_kd", "table1")` and `published("dcgan_kd", 1)` are the same.
    Raises ValueError, with the list of what exists, for a table that is not there.
    """
    name = f"{paper}_table{table}" if isinstance(table, int) else f"{paper}_{table}"
    files_by_name = {path.stem: path for path in sorted(PUBLISHED.glob("*.csv"))}
    if name not in files_by_name:
        raise ValueError(f"no published table {name!r}; there are {', '.join(files_by_name)}")
    return pd.read_csv(files_by_name[name])


def _width(cell: Any) -> Any:
    """Give 2, "2" and "2.0" the same type, so that they group together; keep text such as 1/2."""
    try:
        number = float(cell)
    except (TypeError, ValueError):
        return cell
    return int(number) if number.is_integer() else number


# ------------------------------------------------------------------------------- summing up


def summary(frame: pd.DataFrame, by: Sequence[str] | None = None) -> pd.DataFrame:
    """Sum rows up over seeds: columns `by`, then mean, std (n - 1; NaN with one seed) and seeds.

    `by` is every column of a row but value and seed unless given.  A seed that diverged (NaN)
    makes the mean NaN; it is not left out.  Raises ValueError where a group would hold one seed
    twice, which is how runs of different configurations would be averaged by mistake.
    """
    by = list(by or (column for column in ROW if column not in ("value", "seed")))
    _refuse_doubles(frame, [*by, "seed"], "summary")
    groups = frame.groupby(by, sort=False, dropna=False)
    return groups.agg(
        mean=("value", lambda v: v.mean(skipna=False)),
        std=("value", lambda v: v.std(skipna=False)),
        seeds=("seed", "count"),
    ).reset_index()


def _refuse_doubles(frame: pd.DataFrame, keys: list[str], caller: str) -> None:
    doubled = frame.duplicated(keys)
    if not doubled.to_numpy().any():
        return
    first = frame.loc[doubled, keys].iloc[0]
    same = frame.loc[(frame.loc[:, keys].astype(str) == first.astype(str)).all(axis=1)]
    differ = [
        c for c in frame.columns if c not in keys and same.loc[:, c].astype(str).nunique() > 1
    ]
    raise ValueError(
        f"{caller}: {len(same)} rows for {', '.join(f'{k} {v}' for k, v in first.items())}, which "
        f"differ in {', '.join(differ) or 'nothing'}; expected one: filter the rows first"
    )


def values(frame: pd.DataFrame, **where: Any) -> pd.Series:
    """Pick the values of one configuration by seed: `values(frame, method="mse", width=2)`.

    Raises ValueError where more than one configuration is left.
    """
    rows = frame
    for column, value in where.items():
        rows = rows.loc[[cell == value for cell in rows[column]]]
    _refuse_doubles(rows, ["seed"], "values")
    return pd.Series(rows["value"].tolist(), rows["seed"].tolist(), dtype=float).sort_index()


def beside(
    ours: pd.DataFrame,
    names: Mapping[str, str],
    on: Sequence[str] = ("dataset", "width", "metric"),
    *,
    column: str = "method",
) -> pd.DataFrame:
    """Set methods of a `summary` side by side: one row for each `on`, NAME_mean and NAME_std each.

    `names` maps NAME, a prefix of columns, to a method, or to a value of another `column`.  A
    budget column holds one value where they agree, else all in the order of `names`, as in
    "4000 / 2000".
    """
    parts = {}
    for name, value in names.items():
        part = ours.loc[ours[column] == value]
        _refuse_doubles(part, list(on), "beside")
        parts[name] = part.set_index(list(on)).reindex(columns=["mean", "std", *BUDGET])
    wide = pd.concat(parts, axis=1, sort=False)
    scores = {f"{name}_{what}": wide[name, what] for name in names for what in ("mean", "std")}
    budget = {
        cell: [_common([row[name, cell] for name in names]) for _, row in wide.iterrows()]
        for cell in BUDGET
    }
    return pd.DataFrame(scores | budget, index=wide.index).reset_index()


def _common(cells: list[Any]) -> Any:
    """The one value of cells that agree, else all, as "4000 / 2000"; "-" for a blank."""
    cells = [_width(cell) if pd.notna(cell) else None for cell in cells]
    present = [cell for cell in cells if cell is not None]
    if len(set(present)) == 1:
        return present[0]
    return " / ".join("-" if cell is None else str(cell) for cell in cells)


# --------------------------------------------------------------------- beside the published


def compare(ours: pd.DataFrame, published: pd.DataFrame, on: Mapping[str, str]) -> pd.DataFrame:
    """Join a `summary` of ours to a published table: every published row stays, in its order.

    `on` maps a published column to ours.  Our columns come after the published ones: data (our data
    set), our_method, our_metric ..., the values, the budget.  Rows of ours that match nothing
    follow, their published cells left empty.  Raises ValueError where ours has two rows for one
    published row.
    """
    _refuse_doubles(ours, list(on.values()), "compare")
    names = {column: f"our_{column}" for column in ("method", "network", "width", "metric", "unit")}
    right = ours.drop(columns=["paper", "table"], errors="ignore")
    right = right.rename(columns={"dataset": "data", **names})
    right = right.reindex(columns=[*right.columns.difference(BUDGET, sort=False), *BUDGET])
    joints = {f"on {theirs}": ours[mine] for theirs, mine in on.items()}
    right = right.assign(**joints, row=range(len(right)))
    table = published.merge(right, how="left", left_on=list(on), right_on=list(joints))
    rest = right.loc[~right["row"].isin(table["row"])]
    return pd.concat([table, rest], ignore_index=True).drop(columns=[*joints, "row"])


def dcgan_table1(
    frame: pd.DataFrame,
    *,
    dataset: str,
    stands_for: str,
    teacher_d: int,
    params: Callable[[int], int],
    metrics: Mapping[str, str] | None = None,
) -> pd.DataFrame:
    """Make Table 1 of Aguinaldo et al. (2019): its 24 rows, ours beside those that we ran.

    Our rows on `dataset` fill the published rows of `stands_for` that have the same d and metric;
    those without a counterpart follow, their published cells empty.  `params` gives our parameter
    count for d; `metrics` maps a published metric to ours where the names differ, as in
    {"IS": "IS-digits"}.
    """
    methods = {"student": "mse", "regular": "regular"}
    paper = published("dcgan_kd", 1).drop(columns="teacher_params")
    paper = paper.rename(columns={"student": "published_student", "regular": "published_regular"})
    wide = beside(summary(frame.loc[frame["dataset"] == dataset]), methods)
    sizes = [params(d) for d in wide["width"]]
    ours = wide.assign(
        our_teacher_d=teacher_d,
        our_params=sizes,
        our_ratio=[round(params(teacher_d) / size, 1) for size in sizes],
        stands_for=stands_for,
        stands_for_metric=wide["metric"].replace({v: k for k, v in (metrics or {}).items()}),
    )
    on = {"dataset": "stands_for", "d": "width", "metric": "stands_for_metric"}
    table = compare(ours, paper, on)
    table["d"] = table["d"].fillna(table["our_width"]).astype(int)
    sizes = ("data", "our_teacher_d", "our_params", "our_ratio", "our_metric")
    return table.reindex(columns=[*paper.columns, *sizes, *_means(methods), *CONDITIONS])


def sdakd_table(
    frame: pd.DataFrame, table: int, metrics: Mapping[str, str], network: str = ""
) -> pd.DataFrame:
    """Make Table 1, 2 or 4 of Kaparinos and Mezaris (2025): its rows unchanged, ours beside them.

    `metrics` maps a published column to our metric, as in {"val64": "KID-efflite2 val 16x"}, which
    fills val64_ours_mean and val64_ours_std; our_metric says what is in them.  Ours have network
    "GCFSR" or "RealESRGAN", the generator's C as width, and as method "teacher", "naive (C,1)",
    "naive (C,C)" or the published name.  Those that no table prints, such as controls, follow.
    `network` names one whose rows have no table of their own, as "RealESRGAN-bicubic" in Table 2.
    The metrics of `SDAKD_NOTES`, where the frame has them, are shown as means over seeds.
    """
    usual, paper = SDAKD_NETWORKS[table], published("sdakd", table)
    network = network or usual
    mine = frame.loc[frame["network"] == network]
    mine = mine.assign(width=[str(_width(width)) for width in mine["width"]])
    rows = {n: sdakd_rows(n) for n, its in SDAKD_NETWORKS.items() if its == usual}
    elsewhere = {row for its in rows.values() for row in its}.difference(rows[table])
    scores = {f"{column}_ours": metric for column, metric in metrics.items()}
    ours = _lines(mine, scores, SDAKD_NOTES)
    ours = ours.loc[[row not in elsewhere for row in zip(ours.method, ours.width, strict=True)]]
    paper[["key method", "key width"]] = rows[table]
    both = compare(ours, paper, {"key method": "method", "key width": "width"})
    both["steps"] = both["steps"].where(both["our_method"] != "input")  # which nothing trains
    notes = [note for note in SDAKD_NOTES.values() if note in ours.columns]
    columns = (*paper.columns[:-2], "data", "our_method", "our_width", "our_metric")
    return both.reindex(columns=[*columns, *_means(scores), *CONDITIONS, *notes])


def sdakd_rows(table: int) -> list[tuple[str, str]]:
    """Name the rows of a published table as ours are: our method, C of the generator."""
    paper = published("sdakd", table)
    if table == 4:
        ours = {"GCFSR_reproduced": ("teacher", "1")}
        return [ours.get(variant, (variant, "1/4")) for variant in paper["variant"]]

    def method(name: str, critic: str) -> str:
        if name.endswith("_naive"):
            return "naive (C,1)" if critic == "1" else "naive (C,C)"
        return "teacher" if name in ("GCFSR_reproduced", "RealESRGAN") else name

    columns = (paper[column] for column in ("method", "gen_C", "disc_C"))
    return [(method(name, critic), size) for name, size, critic in zip(*columns, strict=True)]


def _lines(mine: pd.DataFrame, scores: Mapping[str, str], notes: Mapping[str, str]) -> pd.DataFrame:
    """Our rows as lines, one per method and width: scores, budget, notes.

    `scores` maps a column to a metric, whose mean and std it gets; `notes` a metric to a column.
    """
    on = ["dataset", "method", "width"]
    sums = summary(mine)
    ours = beside(sums, scores, on, column="metric").assign(metric=" / ".join(scores.values()))
    sizes = sums.loc[sums["metric"].isin(notes)].pivot(index=on, columns="metric", values="mean")
    return ours.join(sizes.rename(columns=dict(notes)), on=on)


def _means(names: Iterable[str]) -> list[str]:
    """The columns of `beside` that hold scores."""
    return [f"{name}_{what}" for name in names for what in ("mean", "std")]


def nickel_dime_rates() -> dict[float, str]:
    """Tell what the paper calls each share p of pruned channels: percent of the multiply-adds."""
    numbers = published("nickel_dime", "known").set_index("quantity")
    labels = numbers.at["compression rates shown", "compression_percent"].split(";")
    return dict(zip((0.5, 0.7, 0.8, 0.9, 0.95), labels, strict=True))


def nickel_dime_published(methods: Sequence[str]) -> pd.DataFrame:
    """Lay out what is known of the main table of Yeo et al. (2024): each method at every rate.

    Columns method, p, published_rate (percent of multiply-adds saved) and published_fid, NaN where
    it is in none of the places that could be read.
    """
    numbers = published("nickel_dime", "known").set_index(["quantity", "compression_percent"])
    rows = [
        (method, p, float(label), numbers["value"].get((f"FID {method}", label), math.nan))
        for method in methods
        for p, label in nickel_dime_rates().items()
    ]
    return pd.DataFrame(rows, columns=["method", "p", "published_rate", "published_fid"])


def nickel_dime_table(frame: pd.DataFrame, distance: str, methods: Sequence[str]) -> pd.DataFrame:
    """Make the main table of Yeo et al. (2024): published beside ours, a line per method and rate.

    `methods` are the paper's; `distance` is "FID" or our stand-in for it, "FD-digits".  Ours are
    means over the last evaluations; `last` and `best` are the distance at the end and at its best.
    Rows without any number, published or ours, are left out.
    """
    features = distance.partition("-")[2] or "inception"
    scores = {"distance": distance, "last": f"{distance} last", "best": f"{distance} best"}
    scores |= {name: f"{name}-{features}" for name in ("KID", "precision", "recall")}
    students = frame.loc[frame["metric"] == f"{distance} last", ["method", "width"]]
    notes = {"compression rate": "our_rate", "multiply-adds": "multiply_adds"}
    notes |= {"parameters": "parameters"}
    ours = _lines(frame.merge(students.drop_duplicates()), scores, notes).assign(metric=distance)
    ours["our_p"] = [round(1 - float(width), 6) for width in ours["width"]]
    table = compare(ours, nickel_dime_published(methods), {"method": "method", "p": "our_p"})
    for column in ("method", "p"):
        table[column] = table[column].fillna(table[f"our_{column}"])
    table = table.dropna(subset=["published_fid", "our_method"], how="all").reset_index(drop=True)
    columns = ("method", "p", "published_rate", "our_rate", "published_fid", "our_metric")
    sizes = ("data", "parameters", "multiply_adds")
    return table.reindex(columns=[*columns, *_means(scores), *sizes, *CONDITIONS])


# ---------------------------------------------------------------------------------- showing


def short(number: float, digits: int = 2) -> str:
    """Write a number with `digits` decimals: none from 1000 on, and as many figures below 1."""
    if pd.isna(number):
        return ""
    size = abs(number)
    if size >= 1000 or math.isinf(number):
        return f"{number:.0f}"
    if size == 0 or size >= 1:
        return f"{number:.{digits}f}"
    return f"{number:.{digits - 1 - math.floor(math.log10(size))}f}"


def spread(numbers: Sequence[float] | pd.Series, digits: int = 2) -> str:
    """Write values of several seeds as "6.67 ± 0.15 (2 seeds)"."""
    if not len(numbers):
        return "no runs"
    mean = short(float(np.mean(numbers)), digits) or "not finite"
    if len(numbers) == 1:
        return f"{mean} (1 seed)"
    std = short(float(np.std(numbers, ddof=1)), digits)
    return f"{mean} ± {std} ({len(numbers)} seeds)"


def tidy(frame: pd.DataFrame, digits: int = 2) -> pd.DataFrame:
    """Turn a frame into short text for display: `short` numbers, whole columns whole, NaN blank."""
    return pd.DataFrame({name: _text(column, digits) for name, column in frame.items()})


def _text(column: pd.Series, digits: int) -> pd.Series:
    whole = pd.api.types.is_numeric_dtype(column) and (column.dropna() % 1 == 0).all()

    def cell(value: Any) -> str:
        if pd.isna(value):
            return ""
        if isinstance(value, float):
            return f"{value:.0f}" if whole else short(value, digits)
        return str(value)

    return column.astype(object).map(cell)


def with_spread(texts: pd.DataFrame) -> pd.DataFrame:
    """Texts of `tidy` with X, "1.00 ± 0.10", in the place of X_mean and X_std."""
    for mean in [str(name) for name in texts if str(name).endswith("mean")]:
        stem = mean.removesuffix("mean")
        if f"{stem}std" in texts:
            both = texts[mean] + (" ± " + texts[f"{stem}std"]).where(texts[f"{stem}std"] != "", "")
            texts = texts.assign(**{mean: both}).drop(columns=f"{stem}std")
            texts = texts.rename(columns={mean: stem.rstrip("_") or mean})
    return texts


def markdown(frame: pd.DataFrame, digits: int = 2) -> str:
    """Write a frame as a Markdown table, tidied."""
    texts = tidy(frame, digits)
    lines = [list(map(str, texts.columns)), ["---"] * texts.shape[1], *texts.to_numpy().tolist()]
    cells = ([cell.replace("|", "\\|") for cell in line] for line in lines)
    return "\n".join(f"| {' | '.join(line)} |" for line in cells)


def save(frame: pd.DataFrame, path: str | Path) -> Path:
    """Write a frame as csv, six figures a number, so that equal frames give equal bytes."""
    path = Path(path)
    # Counts that turned to floats beside blank cells go back to whole numbers: no 4.73249e+07.
    whole = frame.convert_dtypes()
    text = whole.to_csv(index=False, float_format="%.6g", lineterminator="\n")
    files.write(path, text.encode())
    return path
