"""The programs that users could run on the same node, dpnet among them; each prints its samples per second."""
