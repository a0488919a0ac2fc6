"""Poses, the camera and depth: what relates frames to places. Knows no dynamics."""
