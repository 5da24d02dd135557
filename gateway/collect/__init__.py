"""The reference collector: what gateways publish, kept in one SQLite file, and proof that all of it is there.

`file` writes it, `account` says what is complete, `report` puts that into words, `command` runs it all.
"""
