"""The process: command line, ranks of a distributed run, environment, progress and signals."""
