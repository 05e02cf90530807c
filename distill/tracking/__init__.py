"""What a run did, in MLflow; nothing else talks to it. A store that cannot be reached never decides over a run."""

from distill.tracking.store import experiment_views, tracking_uri
from distill.tracking.tracker import Tracker, send_what_was_kept

__all__ = ["Tracker", "experiment_views", "send_what_was_kept", "tracking_uri"]
