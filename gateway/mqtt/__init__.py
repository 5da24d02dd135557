"""MQTT 5: what the store holds goes to the broker, and what a broker has can be followed.

`delivery` publishes, with paho-mqtt, because it alone tells an acknowledgement from a refusal. `watch`
follows, with aiomqtt; the daemon never imports it. This package is the only importer of both.
"""

from gateway.mqtt.delivery import Delivery
from gateway.mqtt.inbox import Heard

__all__ = ["Delivery", "Heard"]
