"""FAR and FAR-Long in the published layout (arXiv 2503.19325)."""
