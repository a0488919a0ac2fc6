"""Figures as one self-contained page: curves, sheets, films, blind choices. Knows no world."""
