"""The speed of dpnet, against the limits of the machine and against what users would otherwise run."""
