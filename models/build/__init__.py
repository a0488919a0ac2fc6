"""Networks from a world's card and weights, and world folders from networks."""
