"""How long a step takes on other numbers of nodes: `dpnet estimate`.

What a node computes is measured, on the nodes that there are; what nodes exchange follows from the cost model. Nothing
here knows a command line, or how results are shown.
"""
