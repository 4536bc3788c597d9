"""Sweeps on this machine: W&B's sweep files, what to try next, and trials in processes of their own."""
