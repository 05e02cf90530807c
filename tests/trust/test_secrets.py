"""Planted secrets appear in nothing that is said, written, published or tracked."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from tests.trust.mini import Done, Mini, distill_in
from tests.trust.test_kills import fresh

__all__ = ["fresh"]

PLANTED = "s3cr3tPl4nted"
VARIABLES = {
    "HF_TOKEN": f"hf_{PLANTED}",
    "HUGGING_FACE_HUB_TOKEN": f"hf_{PLANTED}",
    "AWS_SECRET_ACCESS_KEY": PLANTED,
    "MLFLOW_TRACKING_PASSWORD": PLANTED,
    "MLFLOW_TRACKING_TOKEN": PLANTED,
    "GIT_TOKEN": PLANTED,
    "DATABASE_URL": f"postgresql://user:{PLANTED}@host/base",
}


def nowhere(done: Done, *folders: Path) -> None:
    """The secret is neither said nor in any file."""
    assert PLANTED not in done.stdout + done.stderr
    for folder in folders:
        for path in folder.rglob("*"):
            if path.is_file() and not path.is_symlink():
                assert PLANTED.encode() not in path.read_bytes(), path


def test_secrets_of_the_environment_stay_there(fresh: Mini) -> None:
    # Those that libraries read while they are imported would start Python afresh.
    others = {key: value for key, value in VARIABLES.items() if not key.startswith("HUGGING")}
    done = fresh.distill(**others)
    assert done.returncode == 0, done.stderr
    nowhere(done, fresh.folder)


ADDRESSES = {
    "a store with a password": f"http://user:{PLANTED}@127.0.0.1:9",
    "a password with an at sign": f"http://user:{PLANTED}@{PLANTED}@127.0.0.1:9/x",
    "a store with a token": f"http://127.0.0.1:9/?token={PLANTED}",
    "a store with a key in capitals": f"http://127.0.0.1:9/?API_KEY={PLANTED}&x=1",
    "a store with a signature": f"http://127.0.0.1:9/a?sig={PLANTED}#x",
    "a database": f"postgresql://user:{PLANTED}@127.0.0.1:9/base",
    "a database with a driver": f"mysql+pymysql://user:{PLANTED}@127.0.0.1:9/base",
    "a file with a password": f"sqlite://user:{PLANTED}@/no/where.db",
}


@pytest.mark.parametrize("address", ADDRESSES.values(), ids=ADDRESSES)
def test_a_stores_address_is_told_without_its_secret(fresh: Mini, address: str) -> None:
    done = fresh.distill("--until", "corpus", MLFLOW_TRACKING_URI=address)
    assert "Traceback" not in done.stderr
    nowhere(done, fresh.folder)


SOURCES = {
    "a source with a password": f"http://user:{PLANTED}@127.0.0.1:9/t.txt",
    "a source with a token": f"http://127.0.0.1:9/t.txt?token={PLANTED}",
    "a bucket's key": f"https://127.0.0.1:9/t.txt?X-Amz-Signature={PLANTED}",
    "an ftp address": f"ftp://user:{PLANTED}@127.0.0.1:9/t.txt",
    "another file system": f"webhdfs://user:{PLANTED}@127.0.0.1:9/t.txt",
}


@pytest.mark.parametrize("address", SOURCES.values(), ids=SOURCES)
@pytest.mark.parametrize("dry", [True, False], ids=["dry run", "run"])
def test_a_sources_address_is_told_without_its_secret(fresh: Mini, address: str, dry: bool) -> None:
    recipe = yaml.safe_load(fresh.recipe.read_text())
    recipe["corpus"]["sources"] = [{"path": address}]
    (fresh.folder / "mini.yaml").write_text(yaml.safe_dump(recipe))
    options = ["--dry-run"] if dry else ["--until", "corpus"]
    done = distill_in(fresh.folder, "recipe", "mini.yaml", *options)
    assert done.returncode == 2 and "Traceback" not in done.stderr, done.stderr
    (fresh.folder / "mini.yaml").unlink()
    nowhere(done, fresh.folder)


def test_a_path_from_the_environment_is_published_by_its_variables_name(
    fresh: Mini, mini: Mini
) -> None:
    secret = fresh.folder.parent / PLANTED
    secret.mkdir()
    (secret / "t.jsonl").write_bytes((mini.recipe.parent / "t.jsonl").read_bytes())
    recipe = yaml.safe_load(fresh.recipe.read_text())
    recipe["corpus"]["sources"] = [{"path": "${WHERE_TEXT_IS}/t.jsonl"}]
    (fresh.folder / "mini.yaml").write_text(yaml.safe_dump(recipe))
    done = distill_in(fresh.folder, "recipe", "mini.yaml", WHERE_TEXT_IS=str(secret))
    assert done.returncode == 0, done.stderr
    nowhere(done, fresh.run_folder / "export")


@pytest.mark.short
def test_a_model_of_an_address_is_told_without_its_secret(mini: Mini, tmp_path: Path) -> None:
    place = Mini(tmp_path / "here", mini.recipe)
    address = f"https://user:{PLANTED}@127.0.0.1/model"
    done = place.distill("--set", f"teacher.model={address}", "--dry-run")
    assert done.returncode == 2 and "Traceback" not in done.stderr, done.stderr
    nowhere(done, place.folder)
