"""What a run did, in MLflow; nothing else talks to it. A store that cannot be reached never decides
over a run.
"""

from distill.tracking.address import tracking_uri
from distill.tracking.tracker import Tracker, send_what_was_kept
from distill.tracking.ui import experiment_views, find_store, repair, serve

__all__ = [
    "Tracker",
    "experiment_views",
    "find_store",
    "repair",
    "send_what_was_kept",
    "serve",
    "tracking_uri",
]
