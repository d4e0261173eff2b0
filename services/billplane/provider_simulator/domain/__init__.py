"""The utility's world: whole numbers drawn from a seed, and what follows from them."""
