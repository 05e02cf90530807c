"""What a run did, in MLflow; nothing else talks to it. A store that cannot be reached never decides over a run."""

from distill.tracking.store import tracking_uri, without_password
from distill.tracking.tracker import Tracker, send_what_was_kept
from distill.tracking.ui import experiment_views, is_taken, serve

__all__ = ["Tracker", "experiment_views", "is_taken", "send_what_was_kept", "serve", "tracking_uri", "without_password"]
