"""Finished frames composed out of remembered cells; nothing else may depend on it anew."""
