"""A benchmark harness for code models: problems, samples, verdicts, statistics."""
