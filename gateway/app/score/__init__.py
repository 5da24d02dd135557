"""`lamppost score`: what a rule on trial would have done, against what people really did.

`acts` finds both in a store, `actions` reads what people wrote down beside it, `pairs` brings them together,
`shown` prints that, and `command` does it all.
"""
