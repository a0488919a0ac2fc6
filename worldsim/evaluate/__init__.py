"""How good a world is and how fast: rollouts beside the engine, metrics, reports, benchmarks."""
