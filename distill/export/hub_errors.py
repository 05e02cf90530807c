"""What goes wrong between here and the Hub, in one sentence that says what would be right."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager

from distill.runtime.errors import UserError

_XET_STATUS = re.compile(r"HTTP status (?:client|server) error \((\d{3})\b")
_AGAIN = "the same command goes on where it stopped"


@contextmanager
def explained(repository: str, endpoint: str) -> Iterator[None]:
    """Turn what a network, a server or a right throws into UserError; what is none of these stays
    as it is.
    """
    try:
        yield
    except UserError:
        raise
    except (
        Exception
    ) as error:  # whatever httpx, xet and huggingface_hub throw, which wrap one another
        sentence = explain(error, repository, endpoint)
        if sentence is None:
            raise
        raise UserError(sentence) from error


def explain(error: BaseException, repository: str, endpoint: str) -> str | None:
    """The sentence for an error, by the first of its causes that is the Hub's answer or the
    network's failure.
    """
    from huggingface_hub.errors import HfHubHTTPError, OfflineModeIsEnabled

    network_error = HfHubHTTPError.__bases__[
        0
    ]  # of the HTTP library, which is another one from version to version
    causes: list[BaseException] = []
    cause: BaseException | None = error
    while cause is not None and cause not in causes:
        causes.append(cause)
        cause = cause.__cause__ or cause.__context__
    for link in causes:
        if isinstance(link, OfflineModeIsEnabled):
            return (
                f"--push {repository}: HF_HUB_OFFLINE is set, which forbids it; unset it to push."
            )
    for link in causes:
        if isinstance(link, HfHubHTTPError):
            return _answer(
                link.response.status_code, _one_line(link.server_message), repository, endpoint
            )
    lost = [link for link in causes if isinstance(link, network_error)]
    # Xet's failures are OSErrors without a file or a number; an answer's status is in their text
    # alone.
    lost += [
        link
        for link in causes
        if isinstance(link, OSError) and link.filename is None and link.errno is None
    ]
    if lost:
        if status := _XET_STATUS.search(str(lost[0])):
            return _answer(
                int(status[1]),
                "HF_HUB_DISABLE_XET=1 does without Xet" if status[1] == "404" else "",
                repository,
                endpoint,
            )
        reason = _one_line(str(lost[0])) or type(lost[0]).__name__
        return f"No connection to {endpoint} ({reason}); once there is one, {_AGAIN}."
    if isinstance(error, ValueError) and "metadata in README.md" in str(error):
        return f"{endpoint} does not take the model card: {_one_line(str(error))}"
    return None


def _answer(status: int, message: str, repository: str, endpoint: str) -> str:
    said = f" ({message})" if message else ""
    settings = f"{endpoint}/settings/tokens"
    if status == 401:
        return (
            f"{endpoint} does not know the token{said}; it may have expired: make one with "
            f"write access, {settings}."
        )
    if status == 403:
        organisation = repository.partition("/")[0]
        return (
            f"--push {repository}: this token has no right to write there{said}; use one with "
            f"write access to {organisation} "
            f"({settings}), or name a repository of your own."
        )
    if status == 404:
        return (
            f"--push {repository}: {endpoint} does not find it{said}; is the name right, and "
            "may this token see it?"
        )
    if status in (409, 412):
        return (
            f"--push {repository}: it was made or changed by somebody else meanwhile{said}; "
            "look at it, and push again."
        )
    if status == 429 or status >= 500:
        return f"{endpoint} answers {status}{said}; try again later: {_AGAIN}."
    return f"{endpoint} refuses to take {repository}: {status}{said}."


def _one_line(text: str | None) -> str:
    """Text of a server on one line, without control characters, and not too much of it."""
    return "".join(c for c in " ".join((text or "").split()) if c.isprintable())[:300].rstrip(".")
