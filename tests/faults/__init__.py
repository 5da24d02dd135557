"""The fault suite: `make test-faults`. docs/promises.md has what it found.

`rows` is what a test needs to be a row of the table, `__main__` runs all of them and prints it.
"""
