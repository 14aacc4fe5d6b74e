"""What happens when something breaks: signals, stragglers, hangs, lost ranks, numbers that are not finite.

Each file holds one verb of a fault's life; decisions are pure functions of what was seen. What a training does next is
carried out by `training`, which nothing here imports.
"""
