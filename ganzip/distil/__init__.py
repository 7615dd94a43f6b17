"""How a method meets a network: ``compose`` joins a method, a family and a recipe to players."""
