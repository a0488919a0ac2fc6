"""Episodes on disk: the store, collecting, and the published formats."""
