"""Fine-tuning: a training that begins with parameters of another one, of a checkpoint or of a file.

`find` reads them, before the data are opened. `transfer` makes them those of the new network: from a checkpoint, which
says what its inputs and outputs mean, or from a file, which does not. Nothing here knows how a run goes on later.
"""
