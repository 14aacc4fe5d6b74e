"""What survives a restart: checkpoints, written whole or not at all, and which of them a training resumes from.

Only rank 0 reads and writes checkpoints; nothing here knows which rank it runs on. This package knows names and bytes
of tensors, and the manifest; it does not know what a step or an evaluation is.
"""
