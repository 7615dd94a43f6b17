"""What ganzip's speed and memory are, against plain implementations of the same definitions.

Not part of the package and not of ``make test``: ``make bench`` measures all, README.md in this
folder says how to read the numbers.
"""

import os

# A thread that waits would else spin, and count as work in CPU time. Read when torch is imported.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
