"""Methods: one function each, returning the players that ``train`` lets act."""
