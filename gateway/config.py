"""The configuration: TOML to frozen models. Unknown keys are errors."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, fields, is_dataclass
from ipaddress import ip_address
from pathlib import Path
from typing import Annotated, Any, Literal, get_type_hints

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, TypeAdapter, ValidationError
from pydantic_core import ErrorDetails

from gateway import toml
from gateway.places import Path as KeyPath
from gateway.problem import ConfigError, Problem

__all__ = ["Config", "ConfigError", "Draft", "Problem", "load", "options"]

_DURATION = re.compile(r"(\d+(?:\.\d+)?)(ms|s|m|h|d)")
_SECONDS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
_SIZE = re.compile(r"(\d+(?:\.\d+)?) ?(B|KiB|MiB|GiB|TiB)")
_BYTES = {"B": 1, "KiB": 1 << 10, "MiB": 1 << 20, "GiB": 1 << 30, "TiB": 1 << 40}
ACCEPT_PLAINTEXT = "i accept that anyone on the way can read and forge"
UNSEEN = (
    "MQTT 3.1.1 cannot say that the broker refused a record, so what an access list forbids would count as "
    'delivered: use a broker that speaks MQTT 5, or accept it with mqtt.refusals = "unseen"'
)
"""Why 3.1.1 has to be asked for twice."""
_NAME = r"^[a-z][a-z0-9_]*$"
_GATEWAY = r"^[A-Za-z0-9][A-Za-z0-9_-]*$"
_CONSUMER = r"^[A-Za-z0-9][A-Za-z0-9._@-]{0,63}$"
_PREFIX = r"^[^+#\x00/][^+#\x00]*$"
_LINE = r"^[^\x00-\x1f\x7f]*[^\x00-\x20\x7f][^\x00-\x1f\x7f]*$"
_TEXT = r"\S"
_MAIL = r"^[^@\s<>]+@[^@\s<>]+$"
_LINK = r"^https?://[^\s<>\"]+$"
_PATTERNS = {
    _NAME: "lower-case letters, digits and underscores, and start with a letter",
    _GATEWAY: "letters, digits, - and _, and start with a letter or digit: it is a part of every topic",
    _PREFIX: "a topic without + and #, and not start with /",
    _LINE: "a text of one line",
    _TEXT: "a text, not an empty one",
    _MAIL: "an address such as poles@city.example",
    _LINK: "an address that begins with https:// or http://",
}


def duration(text: Any) -> Any:
    """Turn `"90s"`, `"250ms"`, `"1.5h"` or a number of seconds into seconds."""
    if isinstance(text, str):
        match = _DURATION.fullmatch(text.strip())
        if match is None:
            raise ValueError('a duration is a number and a unit (ms, s, m, h, d), such as "10s"')
        return float(match[1]) * _SECONDS[match[2]]
    return text


def size(text: Any) -> Any:
    """Turn `"512 MiB"` or a number of bytes into bytes."""
    if isinstance(text, str):
        match = _SIZE.fullmatch(text.strip())
        if match is None:
            raise ValueError('a size is a number and a unit (B, KiB, MiB, GiB, TiB), such as "512 MiB"')
        return int(float(match[1]) * _BYTES[match[2]])
    return text


Duration = Annotated[float, BeforeValidator(duration), Field(gt=0, le=366 * 86400)]
Pause = Annotated[float, BeforeValidator(duration), Field(ge=0, le=366 * 86400)]
Size = Annotated[int, BeforeValidator(size), Field(gt=0)]
Name = Annotated[str, Field(pattern=_NAME, max_length=40)]
Line = Annotated[str, Field(pattern=_LINE, max_length=200)]
Text = Annotated[str, Field(pattern=_TEXT, max_length=2500)]
Mail = Annotated[str, Field(pattern=_MAIL, max_length=200)]
Link = Annotated[str, Field(pattern=_LINK, max_length=500)]


class _Model(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)


class Place(_Model):
    """Where the pole stands, for the people and services that read its records."""

    name: str = ""
    latitude: Annotated[float, Field(ge=-90, le=90)] | None = None
    longitude: Annotated[float, Field(ge=-180, le=180)] | None = None
    zone: str | None = None


class Gateway(_Model):
    """Who this gateway is."""

    id: Annotated[str, Field(pattern=_GATEWAY, max_length=60)]
    place: Place = Place()


class Store(_Model):
    """Where records wait until they are delivered."""

    path: Path
    commit: Duration = 1.0
    keep: Pause = 86400.0
    keep_events: Pause = 90 * 86400.0
    thin_after: Duration | None = None
    drop_after: Duration | None = None
    max_size: Size = 1 << 30
    endurance: Size | None = None


class Ledger(_Model):
    """The key that signs the ledger of decisions, and how often it does."""

    key: Path | None = None
    every: Duration = 3600.0


class Tls(_Model):
    """The broker's authority, and this gateway's own certificate and key (PEM files)."""

    ca: Path | None = None
    certificate: Path | None = None
    key: Path | None = None


Expiring = Annotated[float, BeforeValidator(duration), Field(ge=1, le=366 * 86400)]


class Expiry(_Model):
    """How long the broker may keep a message for those who are not there to get it. None: for ever."""

    state: Expiring | None = None
    telemetry: Expiring | None = None
    events: Expiring | None = None


class Mqtt(_Model):
    """The broker, and how to reach it."""

    host: str = "127.0.0.1"
    port: Annotated[int, Field(ge=1, le=65535)] | None = None
    client_id: str | None = None
    protocol: Literal["5", "3.1.1"] = "5"
    refusals: Literal["seen", "unseen"] = "seen"
    prefix: Annotated[str, Field(pattern=_PREFIX)] = "lamppost"
    username: str | None = None
    password_file: Path | None = None
    password_credential: str | None = None
    tls: Tls | None = None
    plaintext: Literal["refuse", "i accept that anyone on the way can read and forge"] = "refuse"
    keepalive: Annotated[float, BeforeValidator(duration), Field(ge=5, le=65535)] = 30.0
    window: Annotated[int, Field(ge=1, le=65535)] = 16
    batch: Annotated[int, Field(ge=1, le=10000)] = 100
    compress: bool = False
    backlog_rate: Annotated[int, Field(ge=10, le=1_000_000)] = 2000
    backlog_jitter: Pause = 5.0
    acknowledge: Literal["broker", "consumer"] = "broker"
    consumer: Annotated[str, Field(pattern=_CONSUMER)] = "collector"
    no_subscriber: Literal["accept", "hold"] = "accept"
    session_expiry: Duration = 86400.0
    expiry: Expiry = Expiry()

    @property
    def holds_unheard(self) -> bool:
        """Whether what no subscriber would get is kept: also where a consumer must confirm it."""
        return self.no_subscriber == "hold" or self.acknowledge == "consumer"

    @property
    def exposed(self) -> bool:
        """Whether readings and passwords would leave this machine in plain text, unasked for."""
        return self.tls is None and self.plaintext == "refuse" and not _loopback(self.host)

    @property
    def contradictions(self) -> Iterator[tuple[str, str]]:
        """What MQTT 3.1.1 cannot do and is asked of it: the key, and a sentence."""
        if self.protocol == "5":
            if self.refusals == "unseen":
                yield (
                    "refusals",
                    'MQTT 5 shows refusals: take mqtt.refusals out, or set mqtt.protocol = "3.1.1"',
                )
            return
        if self.refusals == "seen":
            yield "protocol", UNSEEN
        if self.no_subscriber == "hold":
            yield (
                "no_subscriber",
                "MQTT 3.1.1 cannot say that nobody subscribes: take mqtt.no_subscriber out",
            )
        if self.expiry != Expiry():
            yield "expiry", "MQTT 3.1.1 cannot say when a message expires: take mqtt.expiry out"
        if "session_expiry" in self.model_fields_set:
            yield (
                "session_expiry",
                "MQTT 3.1.1 cannot ask for a session's expiry: set it at the broker",
            )


class Http(_Model):
    """The status page and the health checks."""

    enabled: bool = True
    host: str = "127.0.0.1"
    port: Annotated[int, Field(ge=0, le=65535)] = 8080

    @property
    def seen(self) -> bool:
        """Whether other machines can reach it."""
        return not _loopback(self.host)


class Register(_Model):
    """What the city tells the public of this pole."""

    file: Path | None = None


class Access(_Model):
    """Who may order what: a file, or a systemd credential, of people and their tokens' hashes."""

    people: Path | None = None
    people_credential: str | None = None


BusAddress = Annotated[int, Field(ge=0x08, le=0x77)]


class Bus(_Model):
    """An I2C bus: a device file of the kernel, `emulated:street`, or a channel of a mux on another bus."""

    id: str
    path: str | None = None
    mux: str | None = None
    on: str | None = None
    address: BusAddress | None = None
    channel: Annotated[int, Field(ge=0, le=7)] | None = None


class Header(_Model):
    """The 40-pin header: a gpiochip of the kernel, or `emulated:street`."""

    chip: str = "/dev/gpiochip0"


class Pins(_Model):
    """Lines beside the header's: those of an expander on an I2C bus."""

    id: str
    driver: str
    bus: str
    address: BusAddress | None = None
    options: dict[str, Any] = {}


class Adc(_Model):
    """A converter on an I2C bus, whose channels other devices use."""

    id: str
    driver: str
    bus: str
    address: BusAddress | None = None
    options: dict[str, Any] = {}


class Guard(_Model):
    """What an actuator may do, whatever rules and commands ask."""

    max_on: Duration
    min_off: Pause = 0.0
    per_hour: Annotated[int, Field(ge=1, le=600)] | None = None
    permissives: tuple[str, ...] = ()
    max_age: Duration | None = None
    excludes: tuple[str, ...] = ()
    lease: Duration = 3600.0
    act_unrecorded: bool = False


class Quality(_Model):
    """The tests of one quantity of a device, in its unit. A test without a limit is not made."""

    range: tuple[float, float] | None = None
    usual: tuple[float, float] | None = None
    rate: Annotated[float, Field(gt=0)] | None = None
    tolerance: Annotated[float, Field(ge=0)] | None = None
    suspect: Annotated[int, Field(ge=1, le=100_000)] = 3
    fail: Annotated[int, Field(ge=1, le=100_000)] = 5


class Device(_Model):
    """One part: a driver on a bus at an address, on a line of the header or of *pins*, or on a channel."""

    id: Name
    driver: str
    bus: str | None = None
    address: BusAddress | None = None
    line: Annotated[int, Field(ge=0, le=53)] | None = None
    pins: str | None = None
    adc: str | None = None
    channel: Annotated[int, Field(ge=0, le=63)] | None = None
    interval: Duration = 10.0
    deadline: Duration | None = None
    stale: Duration | None = None
    options: dict[str, Any] = {}
    quality: dict[str, Quality] = {}
    guard: Guard | None = None


class Derive(_Model):
    """A stream that turns other devices' readings into readings of its own.

    What only its kind knows is in *options*: that is for gateway.derive to check.
    """

    model_config = ConfigDict(extra="allow")

    id: Name
    kind: str
    source: Annotated[str | tuple[str, ...], Field(alias="from")]

    @property
    def options(self) -> Mapping[str, Any]:
        """The keys of the table that are its kind's own."""
        return self.model_extra or {}


Positive = Annotated[float, Field(gt=0, allow_inf_nan=False)]
Percent = Annotated[float, Field(gt=0, le=100)]


class Compactor(_Model):
    """The press of a bin: its motor, what is seen of it, and what a stroke may take."""

    device: Name
    home: str
    far: str | None = None
    current: str
    battery: str | None = None
    fill: str
    buzzer: Name | None = None
    limit: Positive
    floor: Positive | None = None
    idle: Positive = 0.3
    warning: Duration = 3.0
    press: Duration = 10.0
    back: Duration = 15.0
    dead_time: Duration = 1.0
    inrush: Duration = 0.5
    leave: Duration = 2.0
    full: Percent = 80.0
    emptied: Percent = 30.0
    settle: Duration = 1.0
    measure: Duration = 15.0
    max_age: Duration = 2.0


class Collection(_Model):
    """When a bin asks to be collected."""

    bin: Name
    fill: str
    trend: Name | None = None
    weight: str | None = None
    fire: str | None = None
    compactor: Name | None = None
    threshold: Percent = 80.0
    patience: Duration = 900.0
    foresee: Percent = 40.0
    heavy: Positive | None = None
    emptied: Percent = 20.0
    lapse: Duration = 86400.0
    rounds: tuple[str, ...] = ()


class Rules(_Model):
    """The rule files, relative to the configuration file."""

    files: tuple[Path, ...] = ()


class Config(_Model):
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


def _loopback(host: str) -> bool:
    """Return whether *host* can only be this machine."""
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


@dataclass(frozen=True, slots=True)
class Draft:
    """A configuration file as far as it could be read.

    *config* holds what has the right shape; *kept* says which entries of a list it holds, by their place in
    the file (`{"device": [0, 2]}` when the second is broken); *problems* says what is wrong with the rest.
    """

    config: Config
    document: toml.Document
    kept: Mapping[str, list[int]]
    problems: tuple[Problem, ...]


def load(path: Path) -> Draft:
    """Read the configuration at *path*. Relative paths in it count from its own folder.

    Raises ConfigError where there is nothing to go on with: no such file, not TOML. Problems of shape are in
    the draft; what the parts mean to each other is for gateway.check.
    """
    document = toml.read(path)
    data = dict(document.data)
    kept = {name: list(range(len(v))) for name, v in data.items() if isinstance(v, list)}
    problems: list[Problem] = []
    while True:
        try:
            config = Config.model_validate(data)
        except ValidationError as error:
            shaped = [_placed(detail, kept) for detail in error.errors(include_url=False)]
            problems += [_problem(detail, document, Config) for detail in shaped]
            _prune(data, kept, [detail["loc"] for detail in shaped])
        else:
            return Draft(_anchored(config, path.absolute().parent), document, kept, tuple(problems))


_NAMELESS: Mapping[str, dict[str, Any]] = {"gateway": {"id": "nameless"}, "store": {"path": "nameless.db"}}


def _placed(detail: ErrorDetails, kept: Mapping[str, list[int]]) -> ErrorDetails:
    """Give an error in a pruned list its place in the file back."""
    head, *rest = detail["loc"]
    if rest and isinstance(rest[0], int) and head in kept:
        rest[0] = kept[str(head)][rest[0]]
    return {**detail, "loc": (head, *rest)}


def _prune(data: dict[str, Any], kept: dict[str, list[int]], broken: list[KeyPath]) -> None:
    """Take the broken entries out of *data*, so that the rest can still be checked."""
    for name in {str(loc[0]) for loc in broken}:
        places = {loc[1] for loc in broken if loc[0] == name and len(loc) > 1 and isinstance(loc[1], int)}
        if places and name in kept:
            pairs = [(at, each) for at, each in zip(kept[name], data[name], strict=True) if at not in places]
            kept[name], data[name] = [at for at, _ in pairs], [each for _, each in pairs]
        elif name in _NAMELESS:
            data[name] = _NAMELESS[name]
        else:
            data.pop(name, None)
            kept.pop(name, None)


def options(wanted: type[Any], given: Mapping[str, Any], document: toml.Document, path: KeyPath) -> Any:
    """Build a driver's Options dataclass from TOML. Raises ConfigError at the lines under *path*."""
    known = [field.name for field in fields(wanted)]
    if unknown := [name for name in given if name not in known]:
        said = [_unknown(name, (*path, name), known) for name in unknown]
        raise ConfigError([document.problem((*path, n), each) for n, each in zip(unknown, said, strict=True)])
    try:
        return TypeAdapter(wanted).validate_python(dict(given))
    except ValidationError as error:
        details = error.errors(include_url=False)
        raise ConfigError([_problem(each, document, wanted, path) for each in details]) from error


def _problem(detail: ErrorDetails, document: toml.Document, model: type[Any], path: KeyPath = ()) -> Problem:
    """Turn one of pydantic's errors into a sentence with a line."""
    keys = (*path, *detail["loc"])
    return document.problem(keys, _sentence(detail, keys, _fields(model, detail["loc"][:-1])))


def _sentence(detail: ErrorDetails, keys: KeyPath, siblings: list[str]) -> str:
    name = str(keys[-1])
    match detail["type"]:
        case "extra_forbidden" | "unexpected_keyword_argument":
            return _unknown(name, keys, siblings)
        case "missing":
            return f'{_dotted(keys[:-1]) or "the file"} needs the key "{name}"'
        case "string_pattern_mismatch":
            return f"{_dotted(keys)} must be {_PATTERNS[detail['ctx']['pattern']]}"
    said = detail["msg"].removeprefix("Value error, ").removeprefix("Input ")
    return f"{_dotted(keys)}: {said}"


def _unknown(name: str, keys: KeyPath, siblings: list[str]) -> str:
    hint = toml.did_you_mean(name, siblings) or f"; it may have: {', '.join(siblings) or 'none'}"
    return f'{_dotted(keys[:-1]) or "the file"} has no key "{name}"{hint}'


def _dotted(keys: KeyPath) -> str:
    text = ""
    for key in keys:
        text += f"[{key + 1}]" if isinstance(key, int) else f".{key}"
    return text.removeprefix(".")


def _fields(model: Any, path: KeyPath) -> list[str]:
    """Return the names that the table at *path* of *model* may have."""
    for key in path:
        if isinstance(key, int):
            continue
        if is_dataclass(model) and isinstance(model, type):
            model = _inner(get_type_hints(model).get(str(key)))
            continue
        field = getattr(model, "model_fields", {}).get(key)
        model = _inner(field.annotation) if field is not None else None
    if isinstance(model, type) and issubclass(model, BaseModel):
        return [field.alias or name for name, field in model.model_fields.items()]
    return [field.name for field in fields(model)] if is_dataclass(model) else []


def _inner(annotation: Any) -> Any:
    """Return the model inside `Model | None` or `tuple[Model, ...]`."""
    arguments = [each for each in getattr(annotation, "__args__", ()) if isinstance(each, type)]
    models = [each for each in arguments if issubclass(each, BaseModel) or is_dataclass(each)]
    return models[0] if models else annotation


def _anchored(config: Config, folder: Path) -> Config:
    """Make relative paths count from *folder*."""
    store = config.store.model_copy(update={"path": folder / config.store.path})
    rules = config.rules.model_copy(update={"files": tuple(folder / each for each in config.rules.files)})
    tls = config.mqtt.tls
    if tls is not None:
        files = {name: folder / path for name, path in tls if path is not None}
        tls = tls.model_copy(update=files)
    key = config.ledger.key or Path(f"{config.store.path}.key")
    ledger = config.ledger.model_copy(update={"key": folder / key})
    public = config.public.model_copy(update=_under(folder, file=config.public.file))
    access = config.access.model_copy(update=_under(folder, people=config.access.people))
    password = config.mqtt.password_file
    mqtt = config.mqtt.model_copy(update={"tls": tls, "password_file": password and folder / password})
    anchored = {"store": store, "ledger": ledger, "rules": rules, "mqtt": mqtt}
    return config.model_copy(update=anchored | {"public": public, "access": access})


def _under(folder: Path, **paths: Path | None) -> dict[str, Path]:
    return {name: folder / path for name, path in paths.items() if path is not None}
