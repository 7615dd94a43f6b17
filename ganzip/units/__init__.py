"""Units of work: one training run of one table row and one seed, done once and never again.

``unit`` says what a unit is and what its folder holds, ``run`` trains one, ``pool`` many side by
side. ``plan``, ``status``, ``budget`` and ``transfer`` are about all units of all papers, and
``bundles`` and ``manifests`` about their files.
"""

from ganzip.units.pool import (
    Limit,
    UnitsFailed,
    claim_device,
    perform_all,
    pick_device,
    progress_bar,
)
from ganzip.units.run import (
    CheckpointError,
    Diverged,
    Run,
    TimeUp,
    attempt,
    check_sharing,
    load_network,
    perform,
)
from ganzip.units.unit import (
    ABSENT,
    Damaged,
    Demand,
    State,
    Unit,
    code_hash,
    compute_once,
    find_unit,
    find_units,
    in_order,
    output_folder,
    read_history,
    read_rows,
    read_samples,
    read_state,
    receive_unit,
)
