"""What survives a restart: checkpoints, written whole or not at all, and which of them a training resumes from.

Only rank 0 reads and writes them; nothing here knows ranks. It knows names and bytes of tensors, and the manifest; what
a step or an evaluation is, it does not.
"""
