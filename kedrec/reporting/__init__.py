"""What people read of runs: tables, plots, and the sheets of blinded reviews."""
