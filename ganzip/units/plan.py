"""All papers' units as one plan: what is to be reproduced, and what each unit asks and does."""

from dataclasses import asdict, dataclass, replace
from importlib import import_module
from pathlib import Path
from typing import Any

from ganzip import parallel, parameters, sets
from ganzip.data import DataAbsent, DataError
from ganzip.files import runs_folder
from ganzip.units.pool import UnitsFailed
from ganzip.units.run import Run, check_sharing
from ganzip.units.unit import Demand, Unit, output_folder

PAPER_NOTEBOOKS = {"dcgan_kd": "1_dcgan_kd", "sdakd": "2_sdakd", "nickel_dime": "3_nickel_dime"}
NAMES = {**PAPER_NOTEBOOKS, parameters.OWN: "4_your_own_gan"}  # of notebooks, by paper


@dataclass(frozen=True)
class Request:
    """What is to be reproduced: a preset of some papers on a data set; "" is each paper's own."""

    preset: str = "cpu"
    data: str = ""
    scale: float = 1.0
    papers: tuple[str, ...] = tuple(PAPER_NOTEBOOKS)
    seeds: int = 0  # of a row, at least

    def __post_init__(self):
        values = {name: getattr(self, name) for name in parameters.Plan.model_fields}
        for name, value in parameters.check(parameters.Plan, values).items():
            object.__setattr__(self, name, value)

    def units(self) -> list[Unit]:
        """The plans of all papers, the same that their notebooks make."""
        options: dict[str, Any] = {"source": self.data} if self.data else {}
        options |= {"scale": self.scale} | ({"seeds": self.seeds} if self.seeds else {})
        return [u for p in self.papers for u in paper_module(p).prepare(self.preset, **options)]

    def outline(self) -> tuple[list[Unit], list[str]]:
        """The plans to be counted, data here or not, and a line for each set that is not.

        Preset paper is counted for the sets that it is meant for, unless others are named.
        """
        units, notes = [], []
        for paper in self.papers:
            try:
                if self.preset == "paper" and not self.data:
                    raise DataAbsent("no data are named")
                units += replace(self, papers=(paper,)).units()
                continue
            except (DataError, ImportError) as error:
                if self.data and not isinstance(error, DataAbsent):
                    raise
                why = str(error)
            units += paper_module(paper).outline(self.preset, self.data, self.scale, self.seeds)
            names = " and ".join(f.name for f in sets.facts(paper, self.preset, self.data))
            notes.append(f"{paper} is counted for {names}; name your images by DATA ({why})")
        return units, notes

    def folder(self, paper: str, root: Path) -> Path:
        """Where the paper's notebook puts its tables and figures."""
        return output_folder(root, paper, self.preset, self.data, self.scale, self.seeds)

    def parameters(self) -> dict[str, Any]:
        """A notebook's parameters, where they differ from its own."""
        defaults = asdict(Request())
        return {k: v for k, v in asdict(self).items() if k != "papers" and v != defaults[k]}


def paper_module(paper: str) -> Any:
    """The module that makes the units of a paper."""
    return import_module(f"ganzip.papers.{paper}")


def make_plan(request: Request, root: Path) -> dict[str, Any]:
    """The plan as JSON, paths relative to ``root``: folders of units and of those that they need.

    Planning loads the data, and so finds what is amiss with them before anything is trained.
    """

    def at(path: Path) -> str:
        return path.relative_to(root).as_posix()

    units = {at(unit.folder(root)): unit for unit in request.units()}
    return {
        "parameters": request.parameters(),
        "units": {
            folder: {
                "paper": unit.paper,
                "unit": unit.name,
                "needs": [at(need.folder(root)) for need in unit.needs.values()],
            }
            for folder, unit in units.items()
        },
        "papers": {
            f"{at(request.folder(paper, root))}/{PAPER_NOTEBOOKS[paper]}.ipynb": [
                folder for folder, unit in units.items() if unit.paper == paper
            ]
            for paper in request.papers
        },
    }


def work(run: Run) -> None:
    """Do one unit of any paper."""
    paper_module(run.unit.paper).work(run)


def demand(unit: Unit) -> Demand:
    """What one unit of any paper asks of a machine."""
    return paper_module(unit.paper).demand(unit)


def together(unit: Unit, request: Request, processes: int, device: str) -> None:
    """One unit and what it needs in several processes by ``torchrun``, a GPU each.

    Raises ValueError where so many cannot share it, and UnitsFailed, which says where the
    reason stands.
    """
    check_sharing(unit, runs_folder(), processes)
    values = request.parameters() | {"device": device}
    options = [f"--{name}={value}" for name, value in values.items()]
    if code := parallel.launch(processes, "ganzip.papers", unit.paper, unit.name, *options):
        raise UnitsFailed(f"{unit.name}: torchrun ended with {code}; its reason is above")
