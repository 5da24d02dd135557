"""The QR code of the pole's public page, and the sign that carries it."""

from collections.abc import Mapping
from io import BytesIO
from pathlib import Path
from string import Template
from typing import Any

from gateway.web.live import day
from gateway.web.markup import Markup, join, markup, tag

BORDER, SCALE = 4, 8
"""Light modules around the code, as ISO/IEC 18004 wants them, and the side of a module in the picture."""

_SIGN = Template((Path(__file__).parent / "sign.html").read_text(encoding="utf-8"))


def code(url: str, title: str) -> str:
    """Return the QR code of *url* as SVG: error correction Q, so that a quarter of it may be scratched."""
    import segno

    picture = BytesIO()
    made = segno.make(url, error="q", micro=False)
    made.save(
        picture, kind="svg", scale=SCALE, border=BORDER, light="#ffffff", title=title, desc=url, omitsize=True
    )
    return picture.getvalue().decode()


def sign(notice: Mapping[str, Any], url: str) -> str:
    """Return the sign for the pole, a page of A5 to print: what the notice says in short, and the code."""
    owner = notice["owner"]
    picture = code(url, f"QR code: {url}").partition("?>")[2]
    parts = [
        tag("h1", notice["name"]),
        tag("p", notice["summary"], class_="lead"),
        _list("It measures", [each["what"] for each in notice["measure"]]),
        _list("It may move", [each["what"] for each in notice["act"]] or ["nothing"]),
        tag("p", tag("b", "Who answers: "), f"{owner['organisation']}, {owner['team']}, {owner['email']}"),
        tag("p", tag("b", "To object: "), notice["objection"]["how"]),
        tag("p", tag("b", "Until: "), day(notice["ends"])),
    ]
    more = tag("p", "What it does now, and why: ", tag("b", url.partition("//")[2].rstrip("/")))
    body = join(tag("main", *parts), tag("footer", Markup(picture), more))
    return _SIGN.substitute(language=markup(notice["language"]), title=markup(notice["name"]), body=body)


def _list(title: str, items: list[str]) -> Markup:
    return join(tag("h2", title), tag("ul", *(tag("li", item) for item in items)))
