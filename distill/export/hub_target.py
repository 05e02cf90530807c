"""Whose model a repository of the Hub holds, and what a push would leave of it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

from distill.runtime.errors import UserError
from distill.runtime.version import __version__

if TYPE_CHECKING:
    from huggingface_hub import HfApi

_NO_MODEL = {".gitattributes", ".gitignore", "LICENSE", "LICENSE.md", "README.md"}
"""What a repository may hold and still be free for a first model."""
_LARGEST_REPORT = 32 * 10**6


@dataclass(frozen=True, kw_only=True, slots=True)
class HubTarget:
    """A repository as it is before a push."""

    commit: str | None
    """What the new commit follows."""
    private: bool
    files: frozenset[str]
    report: Mapping[str, Any] | None
    """The report.json that an earlier push left there."""
    branches: frozenset[str]
    tags: dict[str, str]
    """The commits of the tags, by name."""


def read_repository(api: HfApi, repository: str, revision: str | None) -> HubTarget | None:
    """What the repository holds on the branch, or where there is no such branch yet, on main; None
    if it is not there.
    """
    from huggingface_hub.errors import RepositoryNotFoundError

    try:
        info = api.model_info(repository, files_metadata=True)
    except RepositoryNotFoundError:
        return None
    refs = api.list_repo_refs(repository)
    branches = frozenset(branch.name for branch in refs.branches)
    if revision in branches:
        info = api.model_info(repository, revision=revision, files_metadata=True)
    sizes = {file.rfilename: file.size or 0 for file in info.siblings or []}
    report = None
    if 0 < sizes.get("report.json", 0) < _LARGEST_REPORT:
        with TemporaryDirectory() as folder:
            path = Path(
                api.hf_hub_download(repository, "report.json", revision=info.sha, local_dir=folder)
            )
            report = _parsed(path.read_bytes())
    return HubTarget(
        commit=info.sha,
        private=bool(info.private),
        files=frozenset(sizes),
        report=report if model_of(report) else None,
        branches=branches,
        tags={tag.name: tag.target_commit for tag in refs.tags},
    )


def check_target(
    target: HubTarget,
    repository: str,
    report: Mapping[str, Any],
    *,
    private: bool,
    revision: str | None,
    force: bool,
) -> None:
    """Check that the repository is free, or holds an earlier push of the same model. Raises
    UserError.
    """
    if private and not target.private:
        raise UserError(
            f"--private: {repository} is there already, and public; make it private in its "
            "settings first."
        )
    if revision in target.tags:
        raise UserError(f"--revision {revision}: is a tag of {repository}; name a branch.")
    theirs, ours = model_of(target.report), model_of(report)
    if force or theirs == ours or target.files <= _NO_MODEL:
        return
    held = f"{theirs!r}, where this is {ours!r}" if theirs else "one that distill did not push"
    raise UserError(
        f"--push {repository}: it holds another model: {held}. Name another repository, or replace "
        "that model with --force "
        "(its commits stay)."
    )


def stale_files(target: HubTarget, report: Mapping[str, Any]) -> set[str]:
    """What the model that is replaced left: of an earlier push its own files, of another model all
    of them.
    """
    if target.report is not None and model_of(target.report) == model_of(report):
        return set(target.files) & set(target.report["export"]["files"])
    return set(target.files) - _NO_MODEL


def languages_of(recipe: Mapping[str, Any]) -> str:
    """The languages of a report's recipe in one word."""
    language = recipe["language"]
    return language if isinstance(language, str) else "-".join(language)


def model_of(report: Any) -> tuple[str, str, str] | None:
    """By what a report's model is known: recipe, language and teacher; None if this is no such
    report.
    """
    try:
        recipe = report["recipe"]
        named = (recipe["name"], languages_of(recipe), recipe["teacher"]["model"])
        return (
            named
            if all(isinstance(part, str) for part in (*named, *report["export"]["files"]))
            else None
        )
    except (KeyError, TypeError):
        return None


def version_tag(tags: Mapping[str, str], commit: str | None) -> str:
    """The commit's tag if it has one, else the first that is free of v1.2.3, v1.2.3-2, v1.2.3-3: a
    tag never moves.
    """
    first = f"v{__version__}"
    names = [first, *(f"{first}-{number}" for number in range(2, len(tags) + 3))]
    matching = [name for name in names if commit is not None and tags.get(name) == commit]
    return matching[0] if matching else next(name for name in names if name not in tags)


def _parsed(text: bytes) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        return None
