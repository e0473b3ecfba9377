"""Settings of our own figures, put together: scale to figure to settings.

Each group of figures has a module of settings with a ``SCALES`` of its own; it is named once, in `PARTS`.
Scales: "smoke" is for tests (seconds), "default" for the gallery (minutes), "paper" has more points and repeats.
"""

from . import cost_settings, quality_settings

PARTS = (cost_settings, quality_settings)
SCALES = {
    scale: {name: settings for part in PARTS for name, settings in part.SCALES[scale].items()}
    for scale in ("smoke", "default", "paper")
}
