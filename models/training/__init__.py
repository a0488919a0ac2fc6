"""Training: the loop, optimisers, and one recipe a network."""
