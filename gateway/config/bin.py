"""A bin: the press in it, and when it asks to be collected."""

from gateway.config.section import Section
from gateway.config.values import Duration, Name, Percent, Positive


class Compactor(Section):
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


class Collection(Section):
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
