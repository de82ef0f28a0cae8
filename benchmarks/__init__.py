"""Side-by-side timings: memtrain against the authors' code, at equal work, in one process. See README.md."""
