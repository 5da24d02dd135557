"""What the public is told of the pole, and who may order what."""

from pathlib import Path

from gateway.config.section import Section


class Register(Section):
    """What the city tells the public of this pole."""

    file: Path | None = None


class Access(Section):
    """Who may order what: a file, or a systemd credential, of people and their tokens' hashes."""

    people: Path | None = None
    people_credential: str | None = None
