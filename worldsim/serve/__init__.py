"""`worldsim serve`: one world, dreamt for many players at once over WebSocket."""
