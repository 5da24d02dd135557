"""TLS with certificates of its own, made by the openssl command, against Mosquitto."""

import asyncio
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from gateway.config import Mqtt, Tls
from gateway.mqtt.backoff import Backoff
from gateway.mqtt.watch import Live, watch
from gateway.reading import Lane
from tests.brokers import Mosquitto, needs_mosquitto
from tests.gateway.mqtt_rig import Memory, running, until

pytestmark = [
    pytest.mark.broker,
    needs_mosquitto,
    pytest.mark.skipif(shutil.which("openssl") is None, reason="the openssl command is not installed"),
]

Start = Callable[..., Mosquitto]


@pytest.fixture(autouse=True)
def _impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Backoff, "pause", lambda self, high=None: 0.05)


def openssl(*words: str) -> None:
    subprocess.run(["openssl", *words], check=True, capture_output=True)


@pytest.fixture(scope="module")
def papers(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with an authority, a broker's certificate for 127.0.0.1, a gateway's, and a stranger's."""
    folder = tmp_path_factory.mktemp("papers")
    folder.chmod(0o755)
    for name in ("authority", "stranger"):
        make_authority(folder, name)
    issue(folder, "authority", "broker", "subjectAltName=IP:127.0.0.1")
    issue(folder, "authority", "elsewhere", "subjectAltName=DNS:elsewhere.example")
    issue(folder, "authority", "pole7", "extendedKeyUsage=clientAuth")
    issue(folder, "stranger", "intruder", "extendedKeyUsage=clientAuth")
    return folder


def make_authority(folder: Path, name: str) -> None:
    openssl(
        *("req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"),
        *("-days", "2", "-subj", f"/CN={name}", "-addext", "keyUsage=critical,keyCertSign,cRLSign"),
        *("-keyout", f"{folder}/{name}.key", "-out", f"{folder}/{name}.pem"),
    )


def issue(folder: Path, authority: str, name: str, extension: str) -> None:
    (folder / f"{name}.ext").write_text(f"{extension}\nauthorityKeyIdentifier=keyid\n")
    openssl(
        *("req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"),
        *("-subj", f"/CN={name}", "-keyout", f"{folder}/{name}.key", "-out", f"{folder}/{name}.csr"),
    )
    openssl(
        *("x509", "-req", "-in", f"{folder}/{name}.csr", "-days", "2", "-extfile", f"{folder}/{name}.ext"),
        *("-CA", f"{folder}/{authority}.pem", "-CAkey", f"{folder}/{authority}.key", "-CAcreateserial"),
        *("-out", f"{folder}/{name}.pem"),
    )
    (folder / f"{name}.key").chmod(0o644)  # the broker may run as another user


def secured(papers: Path, certificate: str) -> list[str]:
    return [
        f"cafile {papers}/authority.pem",
        f"certfile {papers}/{certificate}.pem",
        f"keyfile {papers}/{certificate}.key",
        "require_certificate true",
        "use_identity_as_username true",
    ]


def client(papers: Path, broker: Mosquitto, name: str = "pole7", authority: str = "authority") -> Mqtt:
    tls = Tls(ca=papers / f"{authority}.pem", certificate=papers / f"{name}.pem", key=papers / f"{name}.key")
    return Mqtt(port=broker.port, tls=tls, batch=20)


def test_delivery_and_watch_over_tls(mosquitto: Start, papers: Path) -> None:
    async def main() -> None:
        broker = mosquitto(*secured(papers, "broker"))
        settings, outbox = client(papers, broker), Memory()
        outbox.fill(Lane.TELEMETRY, 2000, size=200)
        async with running(settings, outbox):
            await until(lambda: outbox.cursors[Lane.TELEMETRY] == 2000)
        async for item in (items := watch(settings)):
            if isinstance(item, Live) and item.face == "status":
                break
        await items.aclose()  # type: ignore[attr-defined]

    asyncio.run(main())


@pytest.mark.parametrize(
    ("server", "name", "authority", "word"),
    [
        ("broker", "pole7", "stranger", "certificate verify failed"),
        ("elsewhere", "pole7", "authority", "IP address mismatch"),
        ("broker", "intruder", "authority", ""),
    ],
)
def test_who_cannot_prove_itself_gets_nothing(
    mosquitto: Start, papers: Path, server: str, name: str, authority: str, word: str
) -> None:
    async def main() -> None:
        broker = mosquitto(*secured(papers, server))
        outbox = Memory()
        outbox.fill(Lane.EVENTS, 1)
        async with running(client(papers, broker, name, authority), outbox) as delivery:
            await until(lambda: delivery.describe()["reason"] not in ("", "not connected yet"))
            await until(lambda: word in delivery.describe()["reason"])
            assert outbox.cursors[Lane.EVENTS] == 0

    asyncio.run(main())


def test_a_certificate_that_cannot_be_read_is_reported_and_taken_once_it_can(
    mosquitto: Start, papers: Path, tmp_path: Path
) -> None:
    async def main() -> None:
        broker = mosquitto(*secured(papers, "broker"))
        outbox = Memory()
        outbox.fill(Lane.EVENTS, 1)
        own = tmp_path / "own.pem"
        tls = Tls(ca=papers / "authority.pem", certificate=own, key=papers / "pole7.key")
        async with running(Mqtt(port=broker.port, tls=tls), outbox) as delivery:
            await until(lambda: "own.pem" in delivery.describe()["reason"])
            own.write_text("not a certificate")
            await until(lambda: "not a PEM file" in delivery.describe()["reason"])
            own.write_bytes((papers / "broker.pem").read_bytes())
            await until(lambda: "does not fit" in delivery.describe()["reason"])
            own.write_bytes((papers / "pole7.pem").read_bytes())
            await until(lambda: outbox.cursors[Lane.EVENTS] == 1)

    asyncio.run(main())


def test_an_authority_that_cannot_be_read_is_reported(papers: Path, tmp_path: Path) -> None:
    async def main() -> None:
        settings = Mqtt(host="127.0.0.1", port=9, tls=Tls(ca=tmp_path / "ca.pem"))
        async with running(settings, Memory()) as delivery:
            await until(lambda: "ca.pem" in delivery.describe()["reason"])

    asyncio.run(main())
