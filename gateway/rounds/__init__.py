"""Collection rounds from the requests of many gateways: for the depot's computer, never for the pole.

`requests` reads what is asked for, `fleet` what there is to fetch it with, `world` the distances, `solver`
finds rounds (the only importer of pyvrp, an optional extra), `fixed` drives the round as it always was,
`result` compares the two, `drawing` shows them; `plan` is the command.
"""
