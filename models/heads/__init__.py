"""Small networks beside a dynamics: rewards and terminations."""
