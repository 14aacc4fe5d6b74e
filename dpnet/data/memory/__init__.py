"""Data that a program holds in memory: arrays, and data frames of any kind that Arrow can take over.

They become sources as files do, read by the same checks, so that the same numbers have the same identity wherever they
come from. Nothing here knows ranks: whoever opens such data on several ranks has to compare what they hold.
"""
