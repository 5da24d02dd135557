"""What the gateway's tests may use: real brokers."""

from tests.brokers import broker, mosquitto
from tests.oldbrokers import any_broker, rabbit

__all__ = ["any_broker", "broker", "mosquitto", "rabbit"]
