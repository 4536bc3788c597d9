"""What `kedrec.report` is made of: tables, plots, and the sheets of blinded reviews."""
