"""Figures as SVG for the page and PNG beside it."""
