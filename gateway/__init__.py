"""Everything about running: from a measurement to a subscriber, and from a rule to an actuator."""

VERSION = "0.1.0"
