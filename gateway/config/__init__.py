"""The configuration: a TOML file to frozen models, with every problem in it said at once, at its line.

`pole` is the whole of it; `gateway`, `store`, `mqtt`, `http`, `people`, `bus`, `device`, `derive` and `bin`
are its sections, made of `values`; `draft` reads the file, `table` what a driver or a kind of stream takes,
and `sentence` says what is wrong.
"""

from gateway.config.bin import Collection, Compactor
from gateway.config.bus import Adc, Bus, Pins
from gateway.config.derive import Derive
from gateway.config.device import Device, Guard, Quality
from gateway.config.draft import Draft, load
from gateway.config.mqtt import ACCEPT_PLAINTEXT, Expiry, Mqtt, Tls
from gateway.config.people import Access
from gateway.config.pole import Config
from gateway.config.store import Store
from gateway.config.table import options
from gateway.config.values import Duration, Line, Link, Mail, Name, Pause, Text, duration, size
from gateway.problem import ConfigError, Problem

__all__ = [
    "ACCEPT_PLAINTEXT",
    "Access",
    "Adc",
    "Bus",
    "Collection",
    "Compactor",
    "Config",
    "ConfigError",
    "Derive",
    "Device",
    "Draft",
    "Duration",
    "Expiry",
    "Guard",
    "Line",
    "Link",
    "Mail",
    "Mqtt",
    "Name",
    "Pause",
    "Pins",
    "Problem",
    "Quality",
    "Store",
    "Text",
    "Tls",
    "duration",
    "load",
    "options",
    "size",
]
