"""`lamppost register`: one output of a register, as text, without a gateway that runs."""

import json
import re
from datetime import date
from pathlib import Path

from gateway.app.check import Plan, plan
from gateway.app.register import OUTPUTS, Facts, facts, planned
from gateway.problem import ConfigError, Problem

_LINK = re.compile(r"https?://[!-~]{1,400}")


def printed(path: Path, output: str, qr: str | None, sign: str | None, today: date) -> str:
    """Return what was asked for of the pole at *path*: a code, a sign, an output. Raises ConfigError."""
    found = plan(path, keep_expired=True)
    known = _facts(found, today)
    for url in (qr, sign):
        if url is not None and not _LINK.fullmatch(url):
            said = f"{url[:80]!a} is no address: it begins with https://, and has no spaces"
            raise ConfigError([Problem(str(path), 1, said)])
    if qr is not None:
        from gateway.web.qr import code

        return code(qr, known.register.name)
    if sign is not None:
        from gateway.web.qr import sign as made

        return made(OUTPUTS["notice"](known), sign)
    if output == "notice":
        from gateway.web.page import paper

        return paper(OUTPUTS["notice"](known))
    return json.dumps(OUTPUTS[output](known), indent=2, ensure_ascii=False) + "\n"


def _facts(found: Plan, today: date) -> Facts:
    if found.register is None:
        said = 'this pole has no register: add [register] and file = "register.toml"'
        raise ConfigError([Problem(str(found.path), 1, said)])
    return facts(found, planned(found), today)
