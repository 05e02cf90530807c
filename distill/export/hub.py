"""Pushing to the Hub: an export's folder and a repository's name go in; one commit and its tag come
out.

Everything that can be refused is refused before the first byte is sent: names, token, right, and
whose model the repository holds. What a cut-off push had sent is known to the server by its hash,
and is not sent again.
"""

from __future__ import annotations

import json
import logging
import os
import re
import sys
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from distill.export.hub_errors import explained
from distill.export.hub_target import check_target, read_repository, stale_files, version_tag
from distill.recipe.section import is_repository
from distill.runtime.errors import UserError
from distill.runtime.version import __version__

if TYPE_CHECKING:
    from huggingface_hub import HfApi

_BRANCH = re.compile(r"(?!refs/)[A-Za-z0-9_](?:[A-Za-z0-9_-]|[./](?=[A-Za-z0-9_-]))*")


@dataclass(frozen=True, kw_only=True, slots=True)
class Pushed:
    """What was sent, or after a dry run, would be."""

    url: str
    commit: str | None
    """None after a dry run."""
    tag: str
    created: bool
    """Whether the repository was not there."""
    sizes: dict[str, int]
    """The files by name, in bytes."""
    removed: list[str]
    """Files of the repository that the model no longer has."""


def push(
    folder: Path,
    repository: str,
    *,
    private: bool = False,
    revision: str | None = None,
    force: bool = False,
    dry_run: bool = False,
) -> Pushed:
    """Commit an export's files to `repository` (ORG/NAME), made if it is not there, on a branch,
    and tag the commit.

    Endpoint and token are those of huggingface_hub: HF_ENDPOINT, and HF_TOKEN or what `hf auth
    login` saved. Raises UserError for what a user can put right.
    """
    from huggingface_hub import HfApi
    from huggingface_hub.utils.tqdm import disable_progress_bars

    report, sizes = read_export(folder)
    check_repository(repository)
    check_branch(revision)
    logging.getLogger("huggingface_hub").setLevel(
        logging.ERROR
    )  # it warns with the signed addresses that files go to
    disable_progress_bars()
    api = HfApi(token=find_token(), library_name="distill", library_version=__version__)
    with explained(repository, api.endpoint):
        check_right(api.whoami(), repository)
        target = read_repository(api, repository, revision)
        if target is not None:
            check_target(
                target, repository, report, private=private, revision=revision, force=force
            )
        planned = Pushed(
            url=f"{api.endpoint}/{repository}" + (f"/tree/{revision}" if revision else ""),
            commit=None,
            tag=version_tag(target.tags if target else {}, None),
            created=target is None,
            sizes=sizes,
            removed=sorted(stale_files(target, report) - sizes.keys()) if target else [],
        )
        if dry_run:
            return planned
        if target is None:
            api.create_repo(repository, private=private or None)
        if revision and (target is None or revision not in target.branches):
            api.create_branch(repository, branch=revision, exist_ok=True)
        message = f"{report['recipe']['name']}, by distill {__version__}"
        commit = _commit(
            api, repository, folder, planned, message, revision, target.commit if target else None
        )
        tag = _tag(api, repository, commit)
    return replace(planned, commit=commit, tag=tag)


def _commit(
    api: HfApi,
    repository: str,
    folder: Path,
    planned: Pushed,
    message: str,
    revision: str | None,
    parent: str | None,
) -> str:
    """Send what the server has not, and commit all of it at once; the branch's head where nothing
    has changed.
    """
    from huggingface_hub import CommitOperationAdd, CommitOperationDelete
    from huggingface_hub.utils.tqdm import enable_progress_bars

    if sys.stderr.isatty() and not os.environ.get("HF_HUB_DISABLE_PROGRESS_BARS"):
        enable_progress_bars()
    additions = [CommitOperationAdd(name, str(folder / name)) for name in planned.sizes]
    # Not `upload_folder`, which commits what takes longer than some minutes in several parts.
    return api.create_commit(
        repository,
        [*map(CommitOperationDelete, planned.removed), *additions],
        commit_message=message,
        revision=revision,
        parent_commit=parent,
    ).oid


def _tag(api: HfApi, repository: str, commit: str) -> str:
    """The commit's tag, set if it has none."""
    tags = {tag.name: tag.target_commit for tag in api.list_repo_refs(repository).tags}
    tag = version_tag(tags, commit)
    if tag not in tags:
        api.create_tag(repository, tag=tag, revision=commit)
    return tag


def read_export(folder: Path) -> tuple[Mapping[str, Any], dict[str, int]]:
    """An export's report, and the sizes of the files that it lists. Raises UserError where one is
    missing.
    """
    try:
        report = json.loads((folder / "report.json").read_text(encoding="utf-8"))
        return report, {name: (folder / name).stat().st_size for name in report["export"]["files"]}
    except (OSError, ValueError, KeyError, TypeError) as error:
        named = (
            f" ({Path(error.filename).name})"
            if isinstance(error, OSError) and error.filename
            else ""
        )
        raise UserError(
            f"{folder} is no whole export{named}; python -m distill export {folder.parent} makes "
            "it."
        ) from error


def check_repository(repository: str) -> None:
    """Check that a name reads as the Hub wants it. Raises UserError."""
    if not is_repository(repository):
        raise UserError(
            f"--push {repository}: should be ORG/NAME, each of letters, digits, '-', '_' and '.', "
            "such as my-group/my-model."
        )


def check_branch(revision: str | None) -> None:
    """Check that a name can be a branch's. Raises UserError."""
    if revision is not None and (not _BRANCH.fullmatch(revision) or revision.endswith(".lock")):
        raise UserError(
            f"--revision {revision}: should be a branch's name of letters, digits, '-', '_', '.' "
            "and '/'."
        )


def find_token() -> str:
    """The token that huggingface_hub uses. Raises UserError if there is none, or what there is
    cannot be one.
    """
    from huggingface_hub import constants, get_token

    token = get_token()
    if token is None:
        raise UserError(
            f"There is no token for {constants.ENDPOINT}: log in with `hf auth login`, or set "
            "HF_TOKEN to a token with write "
            f"access ({constants.ENDPOINT}/settings/tokens)."
        )
    if not re.fullmatch(
        r"[!-~]+", token
    ):  # what cannot be sent would be quoted in the error about it
        raise UserError(
            "HF_TOKEN, or what `hf auth login` saved, has characters that no token has; copy it "
            "anew."
        )
    return token


def check_right(account: Mapping[str, Any], repository: str) -> None:
    """Check that the token of an account may write at all; where, the Hub alone knows. Raises
    UserError.
    """
    if account.get("auth", {}).get("accessToken", {}).get("role") == "read":
        raise UserError(
            f"--push {repository}: the token of {account.get('name')} can only read; use one with "
            "write access."
        )
