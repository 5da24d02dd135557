"""What the store asks of the ledger, as the app hands it over: see its Protocol there."""

from collections.abc import Iterable, Mapping
from typing import Any

from gateway.canonical import canonical
from gateway.ledger import tree
from gateway.ledger.chain import Head


class Linker:
    """Links decisions as `chain` does. Stateless."""

    def text(self, body: Mapping[str, Any]) -> str:
        """Return the body in canonical JSON. Raises ValueError for what that cannot carry.

        Half a surrogate pair, which a person's order may bring, becomes U+FFFD: it must stop no decision.
        """
        try:
            return canonical(body)
        except UnicodeEncodeError:
            return canonical(_whole(body))

    def leaf(self, text: str) -> bytes:
        """Return the leaf hash of a record's text."""
        return tree.leaf(text.encode())

    def restore(self, state: Any) -> Head:
        """Return the head of `Head.state`. Raises ValueError for what is none."""
        return Head.restore(state)

    def over(self, leaves: Iterable[bytes]) -> Head:
        """Return the head of the ledger whose records have these leaf hashes."""
        return Head.over(leaves)


def _whole(value: Any) -> Any:
    if isinstance(value, str):
        return value.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    if isinstance(value, Mapping):
        return {_whole(key): _whole(each) for key, each in value.items()}
    return [_whole(each) for each in value] if isinstance(value, list | tuple) else value
