"""HTML that cannot be forged: whatever is not markup already is escaped."""

from html import escape


class Markup(str):
    """Text that is HTML."""

    __slots__ = ()


def markup(part: object) -> Markup:
    """Return *part* as HTML: itself if it is markup, nothing for None, else its text, escaped."""
    if isinstance(part, Markup):
        return part
    return Markup("" if part is None else escape(str(part)))


def join(*parts: object) -> Markup:
    """Return *parts* one after the other."""
    return Markup("".join(map(markup, parts)))


def tag(name: str, *parts: object, **attributes: object) -> Markup:
    """Return an element around *parts*.

    In an attribute's name a trailing `_` is dropped and any other `_` becomes `-`. An attribute that is None
    or False is left out; True stands alone.
    """
    opening = "".join(_attribute(key, value) for key, value in attributes.items())
    return Markup(f"<{name}{opening}>{join(*parts)}</{name}>")


def _attribute(key: str, value: object) -> str:
    if value is None or value is False:
        return ""
    name = key.rstrip("_").replace("_", "-")
    return f" {name}" if value is True else f' {name}="{escape(str(value))}"'
