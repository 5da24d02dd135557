"""`python -m gateway.ledger KEY`: signs one checkpoint for the daemon; see `notary`."""

from gateway.ledger.notary import main

if __name__ == "__main__":
    main()
