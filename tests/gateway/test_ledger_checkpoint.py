"""Signed notes and checkpoints against the examples of C2SP and of Go's sumdb/note."""

import base64

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.ledger import checkpoint, note, tree
from gateway.ledger.checkpoint import Checkpoint, origin
from gateway.ledger.note import Note, NoteError, Signature, Verifier
from gateway.ledger.signer import from_seed, verified

PETER = "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW"
PETERS_SEED = base64.b64decode("AYEKFALVFGyNhPJEMzD1QIDr+Y7hfZx09iUvxdXHKDFz")[1:]
TEXT = "If you think cryptography is the answer to your problem,\nthen you don't know what your problem is.\n"
PETERS_LINE = (
    "— PeterNeumann "
    "x08go/ZJkuBS9UG/SffcvIAQxVBtiFupLLr8pAcElZInNIuGUgYN1FFYC2pZSNXgKvqfqdngotpRZb6KE6RyyBwJnAM=\n"
)
SOFA = (
    "example.com/behind-the-sofa\n20852163\nCsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=\n\n"
    "— example.com/behind-the-sofa Az3grlgtzPICa5OS8npVmf1Myq/5IZniMp+ZJurmRDeOoRDe4URYN7u5/Zhcyv2q1gGzGku9"
    "nTo+zyWE+xeMcTOAYQ8=\n"
)
QUASIMODO = (
    "Ognuno sta solo sul cuor della terra\ntrafitto da un raggio di sole:\n\ned è subito sera.\n\n"
    "— quasimodo.example/salvatore NnugSzTjtVAewIS+Z/iJhUPeFDkO/5QQ2i5ddnGITLlC+EhfLW9oJKONrMouFSQU0xMcXxj99"
    "ihAQwaqP3ZekRwNtIc=\n"
)
ORIGIN = origin("quai-12", "5e0c1f7a")
KEY = from_seed(bytes(range(32)))
OTHER = from_seed(bytes(32))
OURS = Verifier(ORIGIN, KEY.public)
POINT = Checkpoint(ORIGIN, 3, tree.leaf(b""))
SIGNED = checkpoint.sign(POINT, KEY)


def test_the_note_of_the_reference_implementation_is_signed_and_opened_to_the_letter() -> None:
    key = from_seed(PETERS_SEED)
    assert note.sign(TEXT, "PeterNeumann", key) == f"{TEXT}\n{PETERS_LINE}"
    assert str(Verifier("PeterNeumann", key.public)) == PETER
    assert note.opened(f"{TEXT}\n{PETERS_LINE}", [Verifier.parse(PETER)]) == (TEXT, (Verifier.parse(PETER),))


def test_a_letter_changed_is_noticed() -> None:
    with pytest.raises(NoteError, match="is false"):
        note.opened(f"{TEXT}\n{PETERS_LINE}".replace("think", "thing"), [Verifier.parse(PETER)])


def test_rfc_8032_s_second_test_vector() -> None:
    key = from_seed(bytes.fromhex("4ccd089b28ff96da9db6c346ec114e0f5b8a319f35aba624da8cf6ed4fb8a6fb"))
    signature = bytes.fromhex(
        "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da"
        "085ac1e43e15996e458f3613d0f11d8c387b2eaeb4302aeeb00d291612bb0c00"
    )
    assert key.public.hex() == "3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c"
    assert key.sign(b"\x72") == signature
    assert verified(key.public, signature, b"\x72")
    assert not verified(key.public, signature, b"\x73")
    assert not verified(bytes(32), signature, b"\x72")
    assert not verified(key.public, b"", b"\x72")
    assert not verified(b"short", signature, b"\x72")


@pytest.mark.parametrize("example", [SOFA, QUASIMODO, SIGNED])
def test_the_examples_of_the_specification_are_read_and_written_to_the_letter(example: str) -> None:
    found = Note.parse(example)
    assert str(found) == example
    assert Note.parse(example.encode()) == found
    assert [len(each.value) for each in found.signatures] == [64]


def test_a_text_may_have_blank_lines() -> None:
    assert Note.parse(QUASIMODO).text.endswith("\n\ned è subito sera.\n")


def test_the_checkpoint_of_the_specification() -> None:
    found = Checkpoint.parse(Note.parse(SOFA).text)
    assert (found.origin, found.size, found.extensions) == ("example.com/behind-the-sofa", 20852163, ())
    assert found.root.hex() == "0ac5186a91863e8e1d90c808014aa89bf5da8e3ee1d9f07630f0378f68f1ab62"
    assert found.text == Note.parse(SOFA).text


def test_a_checkpoint_is_opened_by_its_key_alone() -> None:
    assert checkpoint.opened(SIGNED, [OURS]) == POINT
    assert checkpoint.opened(SIGNED.encode(), [Verifier(ORIGIN, OTHER.public), OURS]) == POINT
    for trusted in ([], [Verifier(ORIGIN, OTHER.public)], [Verifier("another", KEY.public)]):
        with pytest.raises(NoteError, match="no key that is trusted"):
            checkpoint.opened(SIGNED, trusted)


def test_a_witness_may_sign_beneath_and_is_not_enough() -> None:
    line = Note.parse(note.sign(POINT.text, "witness", OTHER)).signatures[0]
    both = f"{SIGNED}{line}"
    witness = Verifier("witness", OTHER.public)
    assert checkpoint.opened(both, [OURS]) == checkpoint.opened(both, [witness, OURS]) == POINT
    with pytest.raises(NoteError, match="signed by witness"):
        checkpoint.opened(both, [witness])


def test_a_false_signature_of_a_trusted_key_condemns_the_note() -> None:
    witness = Verifier("witness", OTHER.public)
    forged = Signature("witness", witness.id, bytes(64))
    with pytest.raises(NoteError, match="is false"):
        checkpoint.opened(f"{SIGNED}{forged}", [OURS, witness])


@pytest.mark.parametrize("at", range(len(SIGNED.encode())))
def test_no_byte_of_a_checkpoint_can_be_changed(at: int) -> None:
    data = bytearray(SIGNED.encode())
    data[at] ^= 1
    with pytest.raises(NoteError):
        checkpoint.opened(bytes(data), [OURS])


@pytest.mark.parametrize("end", range(len(SIGNED)))
def test_no_part_of_a_checkpoint_is_one(end: int) -> None:
    for part in (SIGNED[:end], SIGNED[end + 1 :], SIGNED + SIGNED[:end] if end else ""):
        with pytest.raises(NoteError):
            checkpoint.opened(part, [OURS])


ROOT = base64.b64encode(bytes(32)).decode()


@pytest.mark.parametrize(
    "text",
    [
        *(
            "",
            "\n",
            "a\n",
            f"a\n3\n{ROOT}",
            f"a\n3\n{ROOT}\n\n",
            f"\n3\n{ROOT}\n",
            f"a\n\n{ROOT}\n",
            "a\n3\n\n",
        ),
        *(
            f"a\n{size}\n{ROOT}\n"
            for size in ("03", "-3", "+3", "3 ", " 3", "3.0", "٣", "1" * 20, "0x3", "1_0")
        ),
        *(
            "a\n3\nAAAA\n",
            f"a\n3\n{ROOT[:-1]}\n",
            f"a\n3\n{ROOT[:-2]}B=\n",
            f"a\n3\n {ROOT}\n",
            f"a\n3\n{ROOT}=\n",
        ),
        *(
            f"a\n3\n{ROOT}\nx\n\ny\n",
            f"a\n3\n{ROOT}\n\nx\n",
            f"a\n3\n{ROOT}\nx\r\n",
            f"a\n3\n{ROOT}\nx",
            "a\n3\né\n",
        ),
    ],
)
def test_a_checkpoint_has_one_spelling(text: str) -> None:
    with pytest.raises(NoteError):
        Checkpoint.parse(text)


def test_extension_lines_are_kept_where_they_are_lines() -> None:
    found = Checkpoint.parse(f"a\n0\n{ROOT}\nwhat others add\nand more\n")
    assert found.extensions == ("what others add", "and more")
    assert Checkpoint.parse(found.text) == found
    for line in ("", "a\nb", "a\x00"):
        with pytest.raises(NoteError):
            Checkpoint("a", 0, bytes(32), (line,))


@pytest.mark.parametrize(
    "data",
    [
        *(
            b"",
            b"\n",
            b"\n\n",
            b"a\n\n",
            b"a\n\n\n",
            b"\n\nx\n",
            b"a\n\nx\n",
            b"\xff\n\n",
            "a\n\n— n AAAAAAAA".encode(),
        ),
        *(
            f"a\n\n{line}\n"
            for line in ("- n AAAAAAAA", "—n AAAAAAAA", "— n  AAAAAAAA", "— n+m AAAAAAAA", "— n AAAA")
        ),
        *(
            f"a\n\n{line}\n"
            for line in ("— n AAAAAAA", "— n AAAAAAB=", "— AAAAAAAA", "— n AAAAAA==", "— n AA\u00a0A")
        ),
        *(
            "a\x00\n\n— n AAAAAAAA\n",
            "a\r\n\n— n AAAAAAAA\n",
            "a\t\n\n— n AAAAAAAA\n",
            "\ud800\n\n— n AAAAAAAA\n",
        ),
        *("a\n\n" + "— n AAAAAAAA\n" * 101, "a" * note.LARGEST + "\n\n— n AAAAAAAA\n"),
    ],
)
def test_what_is_no_note_is_refused(data: str | bytes) -> None:
    with pytest.raises(NoteError):
        Note.parse(data)


def test_sixteen_large_signatures_are_accepted() -> None:
    line = Signature("witness", b"abcd", bytes(5000))
    assert len(Note.parse(f"a\n\n{str(line) * 16}").signatures) == 16


@given(st.text(max_size=60) | st.binary(max_size=60))
def test_anything_else_is_refused_in_words(data: str | bytes) -> None:
    with pytest.raises(NoteError):
        checkpoint.opened(data, [OURS])


@pytest.mark.parametrize("cut", range(len(PETER)))
def test_a_mangled_verifier_is_refused(cut: int) -> None:
    mangled = PETER[:cut] + chr(ord(PETER[cut]) + 1) + PETER[cut + 1 :]
    for text in (PETER[:cut], PETER[cut + 1 :], mangled):
        with pytest.raises(NoteError):
            Verifier.parse(text)


@pytest.mark.parametrize("name", ["", "a b", "a+b", "a\u00a0b", "a\nb", "a\x00b"])
def test_a_name_has_no_spaces_and_no_plus(name: str) -> None:
    with pytest.raises(NoteError):
        Verifier(name, KEY.public)
    with pytest.raises(NoteError):
        note.sign(TEXT, name, KEY)


def test_only_what_can_be_read_back_is_signed() -> None:
    for text in ("", "no end", "tab\t\n", "\ud800\n"):
        with pytest.raises(NoteError):
            note.sign(text, "n", KEY)
    with pytest.raises(NoteError):
        checkpoint.sign(Checkpoint("with space", 0, tree.EMPTY), KEY)


@given(st.integers(0, 2**62), st.binary(min_size=32, max_size=32))
def test_every_checkpoint_reads_back(size: int, root: bytes) -> None:
    point = Checkpoint(ORIGIN, size, root)
    assert checkpoint.opened(checkpoint.sign(point, KEY), [OURS]) == point
