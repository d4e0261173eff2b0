"""Use cases of pricing: plans and their versions, the rating of periods, quotes."""
