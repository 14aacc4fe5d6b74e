"""Sums over all shards, in an order that does not depend on how many ranks there are."""
