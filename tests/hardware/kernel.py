"""User Mode Linux from Debian's own kernel source, built once: minutes; afterwards it lies in the cache."""

import os
import re
import shutil
import subprocess
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from tests.hardware import cache

UML = Path(__file__).with_name("uml")
SOURCES = Path("/usr/src")
TOOLS = {"make": "make", "flex": "flex", "bison": "bison", "bc": "bc", "xz": "xz-utils", "tar": "tar"}

EDITS = (
    # The 64 interrupt numbers of User Mode Linux are all taken: the lines of a GPIO chip find none.
    ("arch/um/include/asm/irq.h", "#define NR_IRQS\t\t\tUM_LAST_SIGNAL_IRQ\n", "#define NR_IRQS\t\t\t320\n"),
    # User Mode Linux has no I/O memory, which this menu asks for, and its virtio driver does not.
    ("drivers/i2c/busses/Kconfig", '"I2C Hardware Bus support"\n\tdepends on HAS_IOMEM\n', '"I2C"\n'),
    # gpiozero asks which Pi this is, and the unit sees a /proc of its own, into which nothing can be mounted.
    ("arch/um/kernel/um_arch.c", 'vendor_id\\t: User Mode Linux\\n"', 'Revision\\t: c03115\\n"'),
    # The virtio driver tells of a NACK by a smaller count, which smbus2 throws away. A Pi's gives EREMOTEIO.
    ("drivers/i2c/busses/i2c-virtio.c", "\treturn count;\n", "\treturn count == num ? num : -EREMOTEIO;\n"),
)


class Kernel(NamedTuple):
    """What was built: the kernel, which is a program, and its one module."""

    program: Path
    stub: Path


def missing() -> list[str]:
    """Return Debian's names of what is needed to build and is not here."""
    absent = [package for tool, package in TOOLS.items() if not shutil.which(tool)]
    if cache.compiler() is None:
        absent.append("gcc")
    return absent if source() else [*absent, "linux-source"]


def source() -> Path | None:
    """Return the newest kernel source that a linux-source package of Debian left."""
    found = SOURCES.glob("linux-source-*.tar.xz")
    return max(found, key=lambda each: [int(part) for part in re.findall(r"\d+", each.name)], default=None)


def place() -> Path:
    """Return where the kernel lies, or will lie, when it is built from what is here."""
    tarball = source()
    if tarball is None:
        raise RuntimeError("there is no kernel source: install linux-source")
    state = tarball.resolve().stat()
    made_of = (tarball.name, str(state.st_size), str(int(state.st_mtime)), _config(), repr(EDITS))
    return cache.home() / f"uml-{cache.key(*made_of)}"


def _config() -> bytes:
    return (UML / "kernel.config").read_bytes()


def built() -> Kernel | None:
    """Return the kernel if it is in the cache."""
    if source() is None:
        return None
    folder = place()
    return Kernel(folder / "linux", folder / "i2c-stub.ko") if (folder / "linux").exists() else None


def build(say: Callable[[str], None]) -> Kernel:
    """Return the kernel, built if need be. Raises RuntimeError, with the end of the log, where it fails."""
    ready = built()
    if ready is not None:
        return ready
    absent = missing()
    if absent:
        raise RuntimeError(f"install first: {' '.join(absent)}")
    tarball, folder = source(), place()
    assert tarball is not None
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder.parent, prefix="building-") as room:
        tree, objects, made = Path(room, "source"), Path(room, "objects"), Path(room, "made")
        for each in (tree, objects, made):
            each.mkdir()
        say(f"unpacking {tarball.name}")
        _run(["tar", "-xJf", str(tarball), "-C", str(tree), "--strip-components=1"])
        for name, old, new in EDITS:
            _edit(tree / name, old, new)
        _make(tree, objects, say)
        _run(["strip", "-o", str(made / "linux"), str(objects / "linux")])
        shutil.copy(objects / "drivers/i2c/i2c-stub.ko", made)
        made.rename(folder)
    return Kernel(folder / "linux", folder / "i2c-stub.ko")


def _make(tree: Path, objects: Path, say: Callable[[str], None]) -> None:
    """Configure and compile, at low priority, and say how far it has come."""
    config = f"KCONFIG_ALLCONFIG={UML / 'kernel.config'}"
    base = [
        "nice",
        "-n",
        "15",
        "make",
        "-C",
        str(tree),
        "ARCH=um",
        f"O={objects}",
        f"-j{os.cpu_count() or 1}",
    ]
    _run([*base, config, "allnoconfig"])
    asked = [line for line in _config().decode().splitlines() if line.startswith("CONFIG_")]
    given = (objects / ".config").read_text().splitlines()
    refused = [line for line in asked if line not in given]
    if refused:
        raise RuntimeError(f"this kernel does not take {', '.join(refused)}")
    log, count = list[str](), 0
    with subprocess.Popen(
        [*base, "linux", "modules"], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    ) as run:
        assert run.stdout is not None
        for line in run.stdout:
            log.append(line)
            count += line.startswith("  CC ")
            if count % 100 == 0 and line.startswith("  CC "):
                say(f"compiled {count} of about 700 files")
    if run.returncode:
        raise RuntimeError("the kernel does not compile:\n" + "".join(log[-30:]))


def _edit(path: Path, old: str, new: str) -> None:
    text = path.read_text()
    if text.count(old) != 1:
        raise RuntimeError(
            f"{path.name} of this kernel is not as expected: {old.strip()!r} is not there once"
        )
    path.write_text(text.replace(old, new))


def _run(command: list[str]) -> None:
    run = subprocess.run(command, capture_output=True, text=True)
    if run.returncode:
        raise RuntimeError(f"{' '.join(command)} failed:\n{(run.stdout + run.stderr)[-3000:]}")
