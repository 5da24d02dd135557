"""What is signed, and what is not: each checkpoint continues the one before."""

import io
import json

import pytest

from gateway.ledger import tree
from gateway.ledger.checkpoint import opened
from gateway.ledger.notary import last_of, serve
from gateway.ledger.note import Verifier

LEAVES = [tree.leaf(bytes([number])) for number in range(10)]
OTHER = [tree.leaf(bytes([number + 100])) for number in range(10)]


def asked(path, leaves, last="", origin="lamppost/p/e", size=None, root=None, sent=None):
    root = root or tree.root(leaves)
    wish = {"origin": origin, "size": len(leaves) if size is None else size, "root": root.hex(), "last": last}
    out = io.StringIO()
    data = json.dumps(wish).encode() + b"\n" + b"".join(leaves if sent is None else sent)
    serve(path, io.BytesIO(data), out)
    return json.loads(out.getvalue())


def test_a_checkpoint_is_signed_with_a_key_made_at_first(tmp_path):
    path = tmp_path / "k"
    empty = asked(path, [])
    answer = asked(path, LEAVES[:3], empty["checkpoint"])
    assert (empty["news"], answer["news"]) == ("", "")
    assert answer["key"] == empty["key"]
    found = opened(answer["checkpoint"], [Verifier.parse(answer["key"])])
    assert (found.origin, found.size, found.root) == ("lamppost/p/e", 3, tree.root(LEAVES[:3]))
    assert last_of(path).read_text() == answer["checkpoint"]
    assert asked(path, LEAVES[:3], answer["checkpoint"]) == answer, "the same again is the same note"


@pytest.mark.parametrize("remembered", [True, False])
def test_a_shorter_ledger_is_not_signed(tmp_path, remembered):
    """Also where the store that was put back has forgotten: what was signed is kept beside the key."""
    path = tmp_path / "k"
    text = asked(path, LEAVES[:8])["checkpoint"]
    answer = asked(path, LEAVES[:5], text if remembered else "")
    assert answer["refused"].startswith("8 records were signed, and the ledger has fewer")
    assert last_of(path).read_text() == text
    assert "checkpoint" in asked(path, LEAVES, text)


def test_a_ledger_put_back_and_grown_again_is_not_signed(tmp_path):
    path = tmp_path / "k"
    earlier = asked(path, LEAVES[:3])["checkpoint"]
    asked(path, LEAVES[:8])
    answer = asked(path, [*LEAVES[:5], *OTHER], earlier)
    assert answer["refused"].startswith("the first 8 records are not those that were signed")


def test_another_history_of_the_same_length_is_not_signed(tmp_path):
    path = tmp_path / "k"
    asked(path, LEAVES[:8])
    for last in ("", asked(tmp_path / "other", OTHER[:8])["checkpoint"]):
        assert "not those that were signed" in asked(path, OTHER[:8], last)["refused"]


def test_a_new_epoch_is_another_ledger(tmp_path):
    path = tmp_path / "k"
    text = asked(path, LEAVES)["checkpoint"]
    answer = asked(path, OTHER[:2], text, origin="lamppost/p/f")
    assert answer["news"] == ""
    assert answer["checkpoint"].startswith("lamppost/p/f\n2\n")


@pytest.mark.parametrize("sent", [LEAVES[:2], LEAVES[:4], [OTHER[0], *LEAVES[1:3]], []])
def test_hashes_that_are_not_those_of_the_running_ledger_are_not_signed(tmp_path, sent):
    answer = asked(tmp_path / "k", LEAVES[:3], sent=sent)
    assert "the file was changed from outside" in answer["refused"]
    assert not (tmp_path / "k").exists()


def test_a_key_that_is_made_although_a_ledger_exists_is_news(tmp_path):
    path = tmp_path / "k"
    text = asked(path, LEAVES[:3])["checkpoint"]
    path.unlink()
    assert asked(path, LEAVES[:4], text)["news"] == "made although a ledger exists"
    path.unlink()
    last_of(path).unlink()
    assert asked(path, LEAVES[:5])["news"] == "made although a ledger exists"


def test_a_key_that_was_exchanged_is_news(tmp_path):
    path = tmp_path / "k"
    text = asked(path, LEAVES[:3])["checkpoint"]
    asked(tmp_path / "other", [])
    (tmp_path / "other").replace(path)
    assert asked(path, LEAVES[:4], text)["news"] == "another than the one that signed before"
    assert asked(path, LEAVES[:4], text)["news"], "until the store remembers a checkpoint of the new key"


def test_a_key_that_cannot_be_used_is_said(tmp_path):
    (tmp_path / "k").write_text("no key")
    (tmp_path / "k").chmod(0o600)
    assert "damaged or no Ed25519 key" in asked(tmp_path / "k", [])["refused"]
    assert "no key can be made" in asked(tmp_path / "none" / "k", [])["refused"]
