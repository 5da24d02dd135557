"""The ledger: what was decided, why, and the means by which anybody can check that nobody changed it since.

    words.py       a decision in plain words
    chain.py       each record names the hash of the one before
    tree.py        RFC 6962: one root over all records, and proofs against it
    note.py        C2SP signed notes
    checkpoint.py  C2SP checkpoints: the root, signed
    signer.py      the gateway's key
    verify.py      whether a ledger is whole
    linker.py      the chain, as the store asks for it
    proofs.py      proofs over a long ledger that is not held in memory
    notary.py      makes and checks checkpoints, in a process of its own: `python -m gateway.ledger`

Only the words are imported here: what reads a ledger aloud needs no cryptography in memory.
"""

from gateway.ledger.words import explain, headline

__all__ = ["explain", "headline"]
