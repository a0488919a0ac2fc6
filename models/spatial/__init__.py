"""FAR-Long with a memory in space as an input of the network."""
