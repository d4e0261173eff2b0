"""Ways to people: mail servers and SMS services."""
