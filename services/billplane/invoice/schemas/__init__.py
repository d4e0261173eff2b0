"""REST bodies of invoice."""
