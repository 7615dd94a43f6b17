"""What each paper trains and measures: its plan of units, and the work of one unit."""
