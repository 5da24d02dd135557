"""A whole pole: every section there is."""

from pathlib import Path
from typing import Annotated

from pydantic import Field

from gateway.config.bin import Collection, Compactor
from gateway.config.bus import Adc, Bus, Header, Pins
from gateway.config.derive import Derive
from gateway.config.device import Device
from gateway.config.gateway import Gateway
from gateway.config.http import Http
from gateway.config.mqtt import Mqtt
from gateway.config.people import Access, Register
from gateway.config.section import Section
from gateway.config.store import Ledger, Store


class Rules(Section):
    """The rule files, relative to the configuration file."""

    files: tuple[Path, ...] = ()


class Config(Section):
    """A whole pole."""

    gateway: Gateway
    store: Store
    ledger: Ledger = Ledger()
    mqtt: Mqtt = Mqtt()
    http: Http = Http()
    public: Annotated[Register, Field(alias="register")] = Register()  # pydantic has a `register`
    access: Access = Access()
    header: Header = Header()
    bus: tuple[Bus, ...] = ()
    pins: tuple[Pins, ...] = ()
    adc: tuple[Adc, ...] = ()
    device: tuple[Device, ...] = ()
    derive: tuple[Derive, ...] = ()
    compactor: tuple[Compactor, ...] = ()
    collection: tuple[Collection, ...] = ()
    rules: Rules = Rules()


def anchored(config: Config, folder: Path) -> Config:
    """Make relative paths count from *folder*."""
    store = config.store.model_copy(update={"path": folder / config.store.path})
    rules = config.rules.model_copy(update={"files": tuple(folder / each for each in config.rules.files)})
    tls = config.mqtt.tls
    if tls is not None:
        tls = tls.model_copy(update=_under(folder, **dict(tls)))
    key = config.ledger.key or Path(f"{config.store.path}.key")
    ledger = config.ledger.model_copy(update={"key": folder / key})
    public = config.public.model_copy(update=_under(folder, file=config.public.file))
    access = config.access.model_copy(update=_under(folder, people=config.access.people))
    password = _under(folder, password_file=config.mqtt.password_file)
    mqtt = config.mqtt.model_copy(update={"tls": tls, **password})
    sections = {"store": store, "ledger": ledger, "rules": rules, "mqtt": mqtt}
    return config.model_copy(update=sections | {"public": public, "access": access})


def _under(folder: Path, **paths: Path | None) -> dict[str, Path]:
    return {name: folder / path for name, path in paths.items() if path is not None}
