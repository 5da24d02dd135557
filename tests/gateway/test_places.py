"""Places: every key and every character of every text is found where it is written."""

import json
import tomllib
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from gateway.places import Path, line_and_column, places

SAMPLE = '''# a comment with = and [brackets]
title = "one"
[a.b]
"quoted key" = 'literal \\ text'
c.d = [1, [2, "x"], { e = "y" }]   # after
[[rule]]
id = "first"
[[rule.test]]
given = { "bin.fill" = 85.0, 'lid.closed' = true }
[[rule.test]]
expect = true
[[rule]]
when = """
bin.fill > 80 &&\\
     lid.closed"""
text = """ends with a quote\""""
do = [
    { switch = "a" },  # a comma, in a comment
    { switch = "b" },
]
'''


def at(path: Path, character: int | None = None) -> tuple[int, int]:
    place = places(SAMPLE)[path]
    return line_and_column(SAMPLE, place.value if character is None else place.characters[character])


def test_each_value_is_found_where_it_stands() -> None:
    assert at(("title",)) == (2, 9)
    assert at(("a", "b", "quoted key")) == (4, 16)
    assert at(("a", "b", "c", "d", 1, 1)) == (5, 15)
    assert at(("a", "b", "c", "d", 2, "e")) == (5, 27)
    assert at(("rule", 0)) == (6, 1)
    assert at(("rule", 0, "test", 0, "given", "bin.fill")) == (9, 24)
    assert at(("rule", 0, "test", 0, "given", "lid.closed")) == (9, 45)
    assert at(("rule", 0, "test", 1, "expect")) == (11, 10)
    assert at(("rule", 1, "do", 1, "switch")) == (19, 16)


def test_each_character_of_a_text_is_found_through_folds_and_quotes() -> None:
    text = tomllib.loads(SAMPLE)["rule"][1]["when"]
    assert text == "bin.fill > 80 &&lid.closed"
    assert at(("rule", 1, "when"), 0) == (14, 1)
    assert at(("rule", 1, "when"), text.index("lid")) == (15, 6)
    assert at(("rule", 1, "text"), -1) == (16, 28)


def test_each_character_is_found_through_escapes() -> None:
    text = 'a = "\\u0041\\tB\\U0001F600\\\\C"'
    place = places(text)[("a",)]
    assert [text[i] for i in place.characters] == ["\\", "\\", "B", "\\", "\\", "C"]


def leaves(value: Any, path: Path = ()) -> dict[Path, str]:
    """Return the texts in *value* by their path."""
    if isinstance(value, str):
        return {path: value}
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return {p: text for key, item in items for p, text in leaves(item, (*path, key)).items()}


def written(value: Any) -> str:
    """Write *value* as inline TOML, keys quoted, with comments and line ends where they may stand."""
    if isinstance(value, dict):
        return "{ " + ", ".join(f"{json.dumps(k)} = {written(v)}" for k, v in value.items()) + " }"
    if isinstance(value, list):
        return '[ # a comment, with ] and "\n' + ",\n ".join(map(written, value)) + " ]"
    if isinstance(value, str) and "'''" not in value and value.isprintable() and not value.endswith("'"):
        return f"'''\n{value}'''"
    return json.dumps(value)


TEXTS = st.text(st.characters(max_codepoint=0xFFFF, exclude_categories=["Cs"], exclude_characters="\x7f"))
VALUES = st.recursive(
    st.one_of(TEXTS, st.integers(-1000, 1000), st.booleans()),
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(TEXTS, inner, max_size=3)),
    max_leaves=8,
)


@given(st.lists(st.dictionaries(TEXTS, VALUES, max_size=3), max_size=3))
def test_every_text_of_any_document_is_found_whole(tables: list[dict[str, Any]]) -> None:
    text = "".join(
        "[[rule]]\n" + "".join(f"{json.dumps(k)} = {written(v)} # end\n" for k, v in table.items())
        for table in tables
    )
    document = tomllib.loads(text)
    assert document == ({"rule": tables} if tables else {})
    found = places(text)
    for path, value in leaves(document).items():
        characters = found[path].characters
        assert len(characters) == len(value)
        assert all(text[i] in (c, "\\") for i, c in zip(characters, value, strict=True))
