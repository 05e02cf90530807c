"""A headless Chromium, spoken to over its DevTools protocol: open a page, wait for what is on it,
take a picture.
"""

from __future__ import annotations

import asyncio
import base64
import itertools
import json
import os
import re
import shutil
import signal
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import aiohttp

CHROMIUM = next(
    (
        found
        for name in ("chromium", "chromium-browser", "google-chrome")
        if (found := shutil.which(name))
    ),
    None,
)
PATIENCE = 180.0
"""Seconds to wait for anything, on a machine that is busy."""
_BETWEEN_LOOKS = 0.25


class CallError(Exception):
    """The browser did not do what it was told."""


class Page:
    """A tab; what is in its frames, of whatever origin, counts as its text."""

    def __init__(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        self._socket = socket
        self._numbers = itertools.count(1)
        self._answers: dict[int, asyncio.Future[dict[str, Any]]] = {}
        self._frames: list[str] = []
        self._session = ""
        self._reader = asyncio.create_task(self._read())

    async def open(self) -> None:
        targets = (await self._call("Target.getTargets"))["targetInfos"]
        (tab,) = [target["targetId"] for target in targets if target["type"] == "page"]
        self._session = (await self._call("Target.attachToTarget", targetId=tab, flatten=True))[
            "sessionId"
        ]
        await self._call(
            "Target.setAutoAttach", autoAttach=True, waitForDebuggerOnStart=False, flatten=True
        )
        await self._call("Page.enable")

    async def go(self, url: str) -> None:
        await self._call("Page.navigate", url=url)

    async def evaluate(self, script: str, session: str | None = None) -> Any:
        """What a script gives; None if it fails, as it does while the page changes."""
        try:
            answer = await self._call(
                "Runtime.evaluate", session, expression=script, returnByValue=True
            )
        except CallError:
            return None
        return answer["result"].get("value")

    async def wait_for(self, pattern: str) -> str:
        """What a person reads, frames included, once the pattern is in it. Raises TimeoutError with
        the text as it is.
        """

        async def look() -> str | None:
            nonlocal text
            sessions = [None, *self._frames]
            parts = [
                await self.evaluate("document.body && document.body.innerText", session)
                for session in sessions
            ]
            text = "\n".join(part for part in parts if part)
            return text if re.search(pattern, text) else None

        text = ""
        try:
            return str(await _wait(look))
        except TimeoutError:
            raise TimeoutError(f"no {pattern!r} in: {text[:2000]}") from None

    async def wait_until(self, script: str) -> Any:
        """What a script gives, once that is true; a JSON value, no element."""
        try:
            return await _wait(lambda: self.evaluate(script))
        except TimeoutError:
            raise TimeoutError(f"it did not come true: {script}") from None

    async def click(self, selector: str, text: str = "") -> None:
        """Click the element of a CSS selector, with this text alone if there is one, once it is
        there.
        """
        found = f"[...document.querySelectorAll({json.dumps(selector)})]"
        if text:
            found += f".filter((e) => e.innerText?.trim() === {json.dumps(text)})"
        press = (
            "e.dispatchEvent(new MouseEvent('mousedown', {bubbles: true})); "
            "e.click()"
        )  # tabs go by the first
        await self.wait_until(
            f"{found}.slice(-1).map((e) => {{ {press} }}).length > 0"
        )  # the last is the innermost

    async def picture(self, path: Path) -> None:
        shot = await self._call("Page.captureScreenshot", format="png")
        path.write_bytes(base64.b64decode(shot["data"]))

    async def _read(self) -> None:
        async for message in self._socket:
            event = message.json()
            if event.get("id") in self._answers:
                self._answers.pop(event["id"]).set_result(event)
            elif (
                event.get("method") == "Target.attachedToTarget"
                and event["params"]["targetInfo"]["type"] == "iframe"
            ):
                self._frames.append(event["params"]["sessionId"])
            elif event.get("method") == "Target.detachedFromTarget":
                self._frames = [
                    frame for frame in self._frames if frame != event["params"]["sessionId"]
                ]

    async def _call(
        self, method: str, session: str | None = None, **parameters: Any
    ) -> dict[str, Any]:
        """What the browser answers to a command."""
        number = next(self._numbers)
        answer = self._answers[number] = asyncio.get_running_loop().create_future()
        message = {"id": number, "method": method, "params": parameters}
        if session := session or self._session:
            message["sessionId"] = session
        await self._socket.send_str(json.dumps(message))
        answered = await asyncio.wait_for(answer, PATIENCE)
        if "error" in answered:
            raise CallError(f"{method}: {answered['error']}")
        return dict(answered["result"])


@asynccontextmanager
async def browser(folder: Path, width: int = 1400, height: int = 900) -> AsyncIterator[Page]:
    """A page of a Chromium that keeps its profile in `folder`, and is gone after the block."""
    assert CHROMIUM
    flags = [
        "--headless",
        "--no-sandbox",
        "--disable-gpu",
        "--disable-dev-shm-usage",
        "--hide-scrollbars",
    ]
    process = await asyncio.create_subprocess_exec(
        CHROMIUM,
        *flags,
        "--remote-debugging-port=0",
        f"--user-data-dir={folder}",
        f"--window-size={width},{height}",
        "about:blank",
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.DEVNULL,
        env={**os.environ, "HOME": str(folder)},
        start_new_session=True,
    )

    async def address() -> str | None:
        assert process.returncode is None, "Chromium ended"
        with suppress(OSError, ValueError):  # not there yet, or not whole
            port, path = (folder / "DevToolsActivePort").read_text().splitlines()
            return f"ws://127.0.0.1:{port}{path}"
        return None

    try:
        url = await _wait(address)
        async with (
            aiohttp.ClientSession() as session,
            session.ws_connect(url, max_msg_size=0) as socket,
        ):
            page = Page(socket)
            await page.open()
            yield page
    finally:
        with suppress(ProcessLookupError):  # its own processes are of its group
            os.killpg(process.pid, signal.SIGKILL)
        await process.wait()


async def _wait(look: Callable[[], Awaitable[Any]]) -> Any:
    """What `look` gives, once that is true; raises TimeoutError."""
    until = time.monotonic() + PATIENCE
    while time.monotonic() < until:
        if found := await look():
            return found
        await asyncio.sleep(_BETWEEN_LOOKS)
    raise TimeoutError
