"""Training: the protocol of a task, the one loop, the store of checkpoints. Nothing here knows a model."""
