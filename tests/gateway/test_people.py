"""Who may order what, and by which token."""

from collections.abc import Callable
from datetime import date
from pathlib import Path

import pytest

from gateway import people
from gateway.config import Access, ConfigError
from gateway.people import BYTES, People, Person, hashed, line, load, new_token
from gateway.reading import OrderKind

TOKEN = "lp_" + "x" * 32
HASH = hashed(TOKEN)


def written(folder: Path, text: str) -> Access:
    path = folder / "people.toml"
    path.write_text(text)
    path.chmod(0o600)
    return Access(people=path)


def refused(folder: Path, text: str) -> str:
    with pytest.raises(ConfigError) as error:
        load(written(folder, text))
    return "\n".join(str(each).removeprefix(f"{folder}/people.toml:") for each in error.value.problems)


def test_what_lamppost_token_prints_makes_somebody_known(tmp_path: Path) -> None:
    token = new_token()
    found = load(written(tmp_path, line("ada.byrne", token, [OrderKind.APPROVE, OrderKind.VETO])))
    person = found.who(token)
    assert person is not None
    assert person.name == "ada.byrne"
    assert person.allowed(OrderKind.VETO)
    assert not person.allowed(OrderKind.OVERRIDE)
    assert token not in (tmp_path / "people.toml").read_text()


def test_a_token_has_more_than_128_random_bits() -> None:
    assert BYTES * 8 >= 128
    assert len({new_token() for _ in range(1000)}) == 1000
    assert all(len(new_token()) == 3 + 32 for _ in range(10))


@pytest.mark.parametrize("wrong", ["", TOKEN[:-1], TOKEN + "x", TOKEN.upper(), HASH, "\udc80", "é"])
def test_another_token_is_nobody_s(wrong: str) -> None:
    assert People((Person("ada", (), HASH),)).who(wrong) is None


def test_every_hash_is_compared_whole_whoever_matches(monkeypatch: pytest.MonkeyPatch) -> None:
    """So the time of an answer tells nothing of whose token is near."""
    compared: list[tuple[bytes, bytes]] = []
    compare: Callable[[bytes, bytes], bool] = people.hmac.compare_digest

    def watched(one: bytes, other: bytes) -> bool:
        compared.append((one, other))
        return compare(one, other)

    monkeypatch.setattr(people.hmac, "compare_digest", watched)
    everybody = People(tuple(Person(f"p{n}", (), hashed(f"token{n}")) for n in range(5)))
    for token in ("token0", "token4", "nobody's"):
        compared.clear()
        everybody.who(token)
        assert len(compared) == 5
        assert {len(each) for pair in compared for each in pair} == {len(HASH)}


def test_a_token_ends_after_its_last_day() -> None:
    person = Person("ada", (OrderKind.VETO,), HASH, date(2026, 6, 30))
    for today, good in ((date(2026, 6, 30), True), (date(2026, 7, 1), False)):
        found = People((person,), lambda today=today: today)
        assert (found.who(TOKEN) is person) is good
        assert found.may("ada", OrderKind.VETO) is good


def test_who_orders_over_mqtt_alone_needs_no_token(tmp_path: Path) -> None:
    found = load(written(tmp_path, '[[person]]\nname = "control-room"\nmay = ["veto"]\n'))
    assert found.may("control-room", OrderKind.VETO)
    assert not found.may("control-room", OrderKind.APPROVE)
    assert not found.may("Control-room", OrderKind.VETO)
    assert found.who("") is None


ENTRY = f'[[person]]\nname = "ada"\ntoken = "{HASH}"\nmay = ["veto"]\n'


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (ENTRY + "nmae = 1\n", 'person[1] has no key "nmae"; did you mean "name"?'),
        ("[[persons]]\n", 'the file has no key "persons"; did you mean "person"?'),
        ('[[person]]\nname = "ada"\n', 'person[1] needs the key "may"'),
        (ENTRY.replace("veto", "vetoo"), "person[1].may[1]: should be 'approve', 'veto'"),
        (ENTRY.replace(HASH, TOKEN), 'the token of ada must be "sha256:" and 64 hexadecimal digits'),
        (ENTRY.replace("ada", "Ada Byrne"), "nobody can be called Ada Byrne: letters, digits and . _ @ -"),
        (ENTRY + ENTRY.replace('"ada"', '"bo"'), "bo: another person above has the same token"),
        (ENTRY + ENTRY.replace(HASH, hashed("y")), "ada: another person above has the same name"),
        (ENTRY + ENTRY.replace(HASH, hashed("y")).replace("ada", "ADA"), "has the same name"),
    ],
)
def test_a_file_that_is_not_clear_is_refused_whole(tmp_path: Path, text: str, said: str) -> None:
    assert said in refused(tmp_path, text)


def test_a_file_that_everybody_may_write_is_refused(tmp_path: Path) -> None:
    access = written(tmp_path, ENTRY)
    assert access.people is not None
    access.people.chmod(0o602)
    with pytest.raises(ConfigError, match="everybody on this machine may write it"):
        load(access)


def test_a_credential_is_read_and_its_absence_means_nobody(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    access = Access(people_credential="lamppost-people")
    monkeypatch.delenv("CREDENTIALS_DIRECTORY", raising=False)
    assert load(access) == People()
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", str(tmp_path))
    assert load(access) == People()
    (tmp_path / "lamppost-people").write_text(ENTRY)
    assert load(access).who(TOKEN) is not None


def test_nobody_is_the_default() -> None:
    assert load(Access()).who(TOKEN) is None
