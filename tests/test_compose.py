"""Every method meets networks in one place, which the papers and a GAN of one's own share."""

import ast
from collections import Counter
from pathlib import Path

import ganzip

PACKAGE = Path(ganzip.__file__).parent
COMPOSED = (  # functions that return players, by module of ganzip.methods
    ("mse_joint", "mse", "joint"),
    ("omgd", "omgd"),
    ("dcd", "dcd"),
    ("sdakd", "stage2", "stage2_discriminator", "stage3"),
    ("gs", "sparsify", "finetune"),
    ("cagc", "cagc"),
    ("stylekd", "stylekd"),
    ("itgc", "itgc"),
    ("gcc", "gcc"),
    ("nickel_dime", "nickel_dime"),
    ("gan", "wgan", "supervised", "generator", "discriminator", "r1", "path_length"),
)


def calls() -> dict[str, Counter[str]]:
    """How often each function is called outside of ganzip.methods, by file."""
    wanted = {f"{module}.{name}" for module, *names in COMPOSED for name in names}
    found: dict[str, Counter[str]] = {name: Counter() for name in wanted}
    for path in PACKAGE.rglob("*.py"):
        file = path.relative_to(PACKAGE).as_posix()
        if not file.startswith("methods/"):
            for node in ast.walk(ast.parse(path.read_text())):
                if isinstance(node, ast.Call) and (name := ast.unparse(node.func)) in wanted:
                    found[name][file] += 1
    return found


def test_every_method_is_called_once():
    for name, files in calls().items():
        if name in ("gan.discriminator", "gan.supervised"):  # in a game, and alone
            assert files == {"distil/compose.py": 2}
        elif name in ("gan.r1", "gan.path_length"):
            assert files == {"distil/recipe.py": 1}, name
        else:
            assert files == {"distil/compose.py": 1}, name
