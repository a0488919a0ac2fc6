"""`worldsim bench`: how fast a world runs here."""
