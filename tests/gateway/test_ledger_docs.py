"""docs/ledger.md is what strangers check a ledger by: its example is true, its commands work as written."""

import re
import shutil
import subprocess
from pathlib import Path

import pytest

from gateway.ledger import checkpoint, tree
from gateway.ledger.chain import Head
from gateway.ledger.checkpoint import Checkpoint, origin
from gateway.ledger.note import Verifier
from gateway.ledger.signer import from_seed

TEXT = (Path(__file__).parents[2] / "docs" / "ledger.md").read_text()
KEY = from_seed(bytes(range(32)))
ORIGIN = origin("quai-12", "5e0c1f7a")


def example() -> tuple[list[str], Head]:
    first, head = Head().link({"kind": "decision", "outcome": "acted", "age": 85.0})
    second, head = head.link({"kind": "decision", "outcome": "é"})
    return [first.text, second.text], head


def commands(mark: str) -> str:
    found = re.search(rf"<!-- {mark} -->\n```\w+\n(.*?)```", TEXT, re.DOTALL)
    assert found, mark
    return found[1]


def run(program: str, where: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(["sh", "-c", program], cwd=where, capture_output=True, text=True, timeout=20)


def test_the_example_is_what_the_code_makes() -> None:
    records, head = example()
    note = checkpoint.sign(Checkpoint(ORIGIN, head.size, head.root), KEY)
    shown = re.sub(r"^    ", "", TEXT, flags=re.MULTILINE)
    for record in records:
        assert f"\n{record}\n" in shown
    assert note in shown
    assert f"\n{Verifier(ORIGIN, KEY.public)}\n" in shown
    for each in (*(tree.leaf(record.encode()) for record in records), head.root):
        assert f"`{each.hex()}`" in TEXT


def test_the_chain_is_checked_by_the_shell(tmp_path: Path) -> None:
    records, head = example()
    (tmp_path / "records").write_text("".join(f"{record}\n" for record in records))
    done = run(commands("shell: chain"), tmp_path)
    assert done.stdout == f"whole, and the last hash is {head.last.hex()}\n"
    (tmp_path / "records").write_text(f"{records[0].replace('85', '86')}\n{records[1]}\n")
    done = run(commands("shell: chain"), tmp_path)
    assert done.returncode == 1
    assert done.stdout.startswith("broken here")


@pytest.mark.skipif(shutil.which("openssl") is None, reason="openssl is not installed")
def test_a_checkpoint_is_checked_by_openssl(tmp_path: Path) -> None:
    note = checkpoint.sign(Checkpoint(ORIGIN, 2, example()[1].root), KEY)
    (tmp_path / "vkey").write_text(f"{Verifier(ORIGIN, KEY.public)}\n")
    for text, good in ((note, True), (note.replace("\n2\n", "\n3\n"), False)):
        (tmp_path / "note").write_text(text)
        assert (run(commands("shell: checkpoint"), tmp_path).returncode == 0) is good


def test_the_root_is_computed_by_six_lines_of_python() -> None:
    space: dict[str, object] = {}
    exec(commands("python: root"), space)
    leaves = [tree.leaf(bytes([number])) for number in range(21)]
    for size in range(22):
        assert space["root"](leaves[:size]) == tree.root(leaves[:size])
