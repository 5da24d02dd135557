"""What the gateway's tests may use: real brokers."""

from tests.brokers import broker, mosquitto

__all__ = ["broker", "mosquitto"]
