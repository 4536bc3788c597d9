"""Training and testing a module: run folder, loaded run, checkpoints, preemption, DeepSpeed, W&B."""
