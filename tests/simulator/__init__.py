"""A whole life of a gateway from one seed: see docs/simulator.md and `python -m tests.simulator --help`."""
