"""One knob for the whole suite: MINIGAN_TIER says how many examples hypothesis draws.

The fast and default tiers draw the same examples every time, so that a commit is judged by its own
changes; "all" draws fresh ones.
"""

import os

from hypothesis import HealthCheck, settings

for tier, count in {"fast": 5, "default": 25, "all": 200}.items():
    settings.register_profile(
        tier,
        max_examples=count,
        deadline=None,
        derandomize=tier != "all",
        suppress_health_check=[HealthCheck.too_slow],
    )
settings.load_profile(os.environ.get("MINIGAN_TIER", "default"))
