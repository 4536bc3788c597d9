"""Sweeps on this machine: W&B's sweep files, the next proposal, and trials in processes of their own."""
