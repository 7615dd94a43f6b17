"""What ganzip's speed and memory are, against plain implementations of the same definitions.

Not part of the package and not of ``make test``: ``make bench`` measures all, README.md in this
folder says how to read the numbers.
"""
