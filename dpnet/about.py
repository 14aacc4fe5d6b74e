"""The version: on the ground floor, so that nobody imports the roof for it."""

__version__ = "0.1.0"
