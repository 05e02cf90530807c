"""MLflow stores without their forty migrations: each new one is a copy of the first."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

from mlflow.store.db import utils


def copy_the_first(template: Path) -> None:
    """Have MLflow make its next new SQLite store as always and keep it at `template`; those after
    it, in this process and the processes that it forks, are copies.
    """
    migrate: Callable[[Any], None] = utils._initialize_tables

    def initialise(engine: Any) -> None:
        if engine.url.database is None or engine.dialect.name != "sqlite":
            migrate(engine)
        elif template.exists():
            _copy(str(template), engine.url.database)
        else:
            migrate(engine)
            partial = template.with_suffix(f".{os.getpid()}")
            _copy(engine.url.database, str(partial))
            partial.replace(template)

    utils._initialize_tables = initialise


def _copy(source: str, target: str) -> None:
    with closing(sqlite3.connect(source)) as one, closing(sqlite3.connect(target)) as other:
        one.backup(other)
