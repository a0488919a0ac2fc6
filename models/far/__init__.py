"""FAR-Long in the sliding layout: the dynamics of the bundled worlds."""
