"""What a run leaves and shows: the run directory, the events of a training, and the sinks that they go to.

A sink is one way to show events: a file, a console, later others. A screen is where consoles show theirs: a terminal, a
pipe, the terminal of `dpnet launch`. Nothing here knows how a step is computed; ranks are only numbers in a message.
"""
