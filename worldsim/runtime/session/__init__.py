"""The session: the state machine of play, its commands, and loading a world."""
