"""MLflow's store in a project that was moved: its addresses of artifacts follow the folder."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

from distill.tracking.address import DEFAULT_STORE

_ADDRESSES = {
    "experiments": "artifact_location",
    "runs": "artifact_uri",
    "logged_models": "artifact_location",
    "model_versions": "source",
}
"""The columns in which MLflow keeps whole addresses of artifacts."""


def follow_artifacts(store: Path = DEFAULT_STORE) -> bool:
    """Let the store's addresses lead to the artifacts beside it; whether any led elsewhere.

    MLflow keeps whole addresses, which a folder that was moved or copied leaves behind.
    """
    database = store / "mlflow.db"
    if not database.is_file():
        return False
    here = (store / "artifacts").resolve().as_uri()
    with closing(sqlite3.connect(database)) as connection, connection:
        tables = {name for (name,) in connection.execute("SELECT name FROM sqlite_master")}
        elsewhere = _roots(connection) - {here} if "experiments" in tables else set()
        for root in elsewhere:
            for table, column in _ADDRESSES.items():
                if table in tables:
                    connection.execute(
                        f"UPDATE {table} SET {column} = ? || substr({column}, ?) "
                        f"WHERE {column} LIKE ? || '/%'",
                        (here, len(root) + 1, root),
                    )
    return bool(elsewhere)


def _roots(connection: sqlite3.Connection) -> set[str]:
    """Where the artifacts of the experiments that distill made are said to lie."""
    rows = connection.execute("SELECT name, artifact_location FROM experiments")
    ending = f"/{DEFAULT_STORE.name}/artifacts"
    roots = {location.removesuffix(f"/{name}") for name, location in rows if location}
    return {root for root in roots if root.endswith(ending)}
