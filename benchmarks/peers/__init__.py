"""What users would otherwise run on the same node: each peer as a program that prints its samples per second."""
