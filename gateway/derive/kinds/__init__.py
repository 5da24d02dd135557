"""Every kind of stream, by the name that `kind = "..."` says, in the module of its domain.

A module is imported when a stream needs it: a pole without a bin does not carry the bin's mathematics.
"""

from importlib import import_module

from gateway.derive.kind import Kind

MODULES: dict[str, tuple[str, ...]] = {
    "windows": (
        "mean", "min", "max", "energy_mean", "percentile", "count",
        "rate", "slope", "robust_slope", "exceedance",
    ),
    "air": ("us_aqi", "nowcast", "european_aqi", "uk_daqi"),
    "correction": ("corrected_pm", "electrochemical", "co2_baseline"),
    "noise": ("noise", "noise_day"),
    "traffic": ("traffic_noise",),
    "level": ("stage", "depth", "rise"),
    "flood": ("stage_alarm", "disagreement"),
    "rain": ("rain",),
    "wind": ("wind",),
    "land": ("tilt", "movement", "vibration"),
    "drift": ("drift", "step"),
    "bins": ("fill", "weight_fill", "filling"),
    "hazards": ("fire", "tipped", "overflow"),
    "quality": ("despiked",),
}  # fmt: skip
"""The kinds of each module, so that their names are known before any is imported."""


def names() -> dict[str, str]:
    """Return every kind and its module: `{"mean": "windows", ...}`."""
    return {kind: module for module, kinds in MODULES.items() for kind in kinds}


def load(name: str) -> Kind:
    """Return the kind called *name*. Raises LookupError for one that there is not."""
    module = names().get(name)
    if module is None:
        raise LookupError(f"there is no kind of stream {name!r}; there are: {', '.join(sorted(names()))}")
    found: Kind = import_module(f"gateway.derive.kinds.{module}").KINDS[name]
    return found
