"""The key file: made once, whole or not at all, and refused where others could have had it."""

import os
import shutil
import stat
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa, x25519
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from gateway.ledger import signer
from gateway.ledger.signer import KeyFileError, create, load, load_or_create, verified


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "ledger.key"


def test_a_key_is_made_once_and_found_again(path: Path) -> None:
    made, new = load_or_create(path)
    found, again = load_or_create(path)
    assert (new, again) == (True, False)
    assert made.public == found.public == load(path).public
    assert verified(found.public, made.sign(b"x"), b"x")
    assert not verified(found.public, made.sign(b"x"), b"y")


def test_two_devices_have_two_keys(tmp_path: Path) -> None:
    assert create(tmp_path / "a")[0].public != create(tmp_path / "b")[0].public


@pytest.mark.parametrize("mask", [0o000, 0o022, 0o777])
def test_nobody_else_may_read_it_whatever_the_mask(path: Path, mask: int) -> None:
    before = os.umask(mask)
    try:
        create(path)
    finally:
        os.umask(before)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert [each.name for each in path.parent.iterdir()] == ["ledger.key"]


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o660, 0o666, 0o610])
def test_a_key_that_others_could_have_read_is_refused(path: Path, mode: int) -> None:
    create(path)
    path.chmod(mode)
    with pytest.raises(KeyFileError, match=f"mode {mode:04o}.*chmod 600") as refused:
        load_or_create(path)
    assert "move it away" in str(refused.value)


def pem(key: object) -> bytes:
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())


@pytest.mark.parametrize(
    "data",
    [
        *(b"", b"\0" * 120, b"x" * 5000, b"-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n"),
        *(pem(x25519.X25519PrivateKey.generate()), pem(ec.generate_private_key(ec.SECP256R1()))),
        pem(rsa.generate_private_key(65537, 2048)),
    ],
)
def test_a_file_that_holds_no_key_is_refused_and_left_as_it_is(path: Path, data: bytes) -> None:
    path.write_bytes(data)
    path.chmod(0o600)
    with pytest.raises(KeyFileError, match="put a copy back"):
        load_or_create(path)
    assert path.read_bytes() == data


def test_a_file_cut_anywhere_is_refused(path: Path) -> None:
    create(path)
    whole = path.read_bytes()
    for end in range(len(whole) - 1):  # without its last newline it is whole
        path.write_bytes(whole[:end])
        with pytest.raises(KeyFileError, match="damaged"):
            load(path)


def test_what_is_no_plain_file_is_refused(path: Path, tmp_path: Path) -> None:
    os.mkfifo(path, 0o600)
    with pytest.raises(KeyFileError, match="plain file"):
        load_or_create(path)
    path.unlink()
    path.mkdir()
    with pytest.raises(KeyFileError, match="plain file"):
        load_or_create(path)
    path.rmdir()
    create(tmp_path / "elsewhere")
    path.symlink_to(tmp_path / "elsewhere")
    with pytest.raises(KeyFileError, match="plain file"):
        load_or_create(path)


def test_a_link_to_nothing_is_not_followed_to_make_a_key(path: Path, tmp_path: Path) -> None:
    path.symlink_to(tmp_path / "elsewhere")
    with pytest.raises(KeyFileError):
        load_or_create(path)
    assert not (tmp_path / "elsewhere").exists()


def test_a_key_of_somebody_else_is_refused(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    create(path)
    owner = path.stat().st_uid
    if owner == 0:
        os.chown(path, 12345, -1)
        owner = 12345
    monkeypatch.setattr(os, "geteuid", lambda: owner + 1)
    with pytest.raises(KeyFileError, match=f"belongs to user {owner}"):
        load(path)


def test_a_directory_that_is_not_there_is_told(tmp_path: Path) -> None:
    with pytest.raises(KeyFileError, match="no key can be made"):
        load_or_create(tmp_path / "nowhere" / "ledger.key")


def test_a_crash_while_it_is_written_leaves_no_key_and_no_part(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(_: int) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr(os, "fsync", fail)
        with pytest.raises(KeyFileError, match="No space left"):
            create(path)
    assert list(path.parent.iterdir()) == []
    assert load_or_create(path)[1]


def test_many_that_start_at_once_have_one_key(path: Path) -> None:
    found: list[tuple[signer.Key, bool]] = []
    threads = [threading.Thread(target=lambda: found.append(create(path))) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len({key.public for key, _ in found}) == 1
    assert sum(made for _, made in found) == 1
    assert [each.name for each in path.parent.iterdir()] == ["ledger.key"]


def test_a_key_does_not_show_itself(path: Path) -> None:
    key, _ = create(path)
    seed = key._private.private_bytes_raw()
    assert seed.hex() not in repr(key) + str(key)


def test_words_alone_bring_no_cryptography_into_memory() -> None:
    program = "import sys, gateway.ledger; sys.exit('cryptography' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", program]).returncode == 0


@pytest.mark.skipif(shutil.which("openssl") is None, reason="openssl is not installed")
def test_openssl_reads_it_and_checks_its_signatures(path: Path) -> None:
    """What docs/ledger.md tells everybody to do."""
    key, _ = create(path)
    (path.parent / "text").write_bytes(b"a text\n")
    (path.parent / "signature").write_bytes(key.sign(b"a text\n"))
    public = bytes.fromhex("302a300506032b6570032100") + key.public
    (path.parent / "public.der").write_bytes(public)
    read = subprocess.run(
        ["openssl", "pkey", "-in", path, "-pubout", "-outform", "DER"], capture_output=True, check=True
    )
    assert read.stdout == public
    check = ["openssl", "pkeyutl", "-verify", "-pubin", "-keyform", "DER", "-inkey", "public.der", "-rawin"]
    for text, good in (("text", True), ("public.der", False)):
        done = subprocess.run(
            [*check, "-in", text, "-sigfile", "signature"], cwd=path.parent, capture_output=True
        )
        assert (done.returncode == 0) is good
