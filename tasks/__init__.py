"""The benchmarks as data and pure text. Standard library only."""
