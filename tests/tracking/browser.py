"""A headless Chromium, spoken to over its DevTools protocol: open a page, wait for a text, take a picture."""

from __future__ import annotations

import asyncio
import base64
import itertools
import os
import re
import shutil
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp

CHROMIUM = next((found for name in ("chromium", "chromium-browser", "google-chrome") if (found := shutil.which(name))), None)


class Page:
    """A tab; what is in its frames, of whatever origin, counts as its text."""

    def __init__(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        self._socket = socket
        self._numbers = itertools.count(1)
        self._answers: dict[int, asyncio.Future[dict[str, Any]]] = {}
        self._frames: list[str] = []
        self.errors: list[str] = []
        self._session = ""
        self._reader = asyncio.create_task(self._read())

    async def _read(self) -> None:
        async for message in self._socket:
            event = message.json()
            if event.get("id") in self._answers:
                self._answers.pop(event["id"]).set_result(event)
            elif event.get("method") == "Target.attachedToTarget" and event["params"]["targetInfo"]["type"] == "iframe":
                self._frames.append(event["params"]["sessionId"])
            elif event.get("method") == "Log.entryAdded" and event["params"]["entry"]["level"] == "error":
                self.errors.append(event["params"]["entry"]["text"])

    async def call(self, method: str, session: str | None = None, **parameters: Any) -> dict[str, Any]:
        """What the browser answers to a command."""
        number = next(self._numbers)
        answer = self._answers[number] = asyncio.get_running_loop().create_future()
        message = {"id": number, "method": method, "params": parameters}
        if session := self._session if session is None else session:
            message["sessionId"] = session
        await self._socket.send_json(message)
        answered = await asyncio.wait_for(answer, 60)
        assert "error" not in answered, f"{method}: {answered['error']}"
        return dict(answered["result"])

    async def open(self) -> None:
        targets = (await self.call("Target.getTargets"))["targetInfos"]
        (tab,) = [target["targetId"] for target in targets if target["type"] == "page"]
        self._session = (await self.call("Target.attachToTarget", targetId=tab, flatten=True))["sessionId"]
        await self.call("Target.setAutoAttach", autoAttach=True, waitForDebuggerOnStart=False, flatten=True)
        for domain in ("Page", "Runtime", "Log"):
            await self.call(f"{domain}.enable")

    async def go(self, url: str) -> None:
        self._frames.clear()
        await self.call("Page.navigate", url=url)

    async def evaluate(self, script: str, session: str | None = None) -> Any:
        answer = await self.call("Runtime.evaluate", session, expression=script, returnByValue=True, awaitPromise=True)
        return answer.get("result", {}).get("value")

    async def text(self) -> str:
        """What a person reads, frames included."""
        sessions = [None, *self._frames]
        parts = [await self.evaluate("document.body ? document.body.innerText : ''", session) for session in sessions]
        return "\n".join(part for part in parts if part)

    async def count(self, selector: str, seconds: float = 90) -> int:
        """How many elements there are of a CSS selector, once there are some."""
        until, found = time.monotonic() + seconds, 0
        while not found and time.monotonic() < until:
            found = int(await self.evaluate(f"document.querySelectorAll({selector!r}).length"))
            await asyncio.sleep(0.5)
        return found

    async def scroll(self) -> None:
        """A little further down in all that scrolls, or from its end to its top: some is drawn only when it is seen."""
        await self.evaluate(
            "document.querySelectorAll('*').forEach((e) => {"
            " const end = e.scrollTop + e.clientHeight >= e.scrollHeight - 2;"
            " if (e.scrollHeight > e.clientHeight) e.scrollTop = end ? 0 : e.scrollTop + 250; })"
        )

    async def wait_for(self, pattern: str, seconds: float = 180, *, scrolling: bool = False) -> str:
        """The page's text once the pattern is in it. Raises TimeoutError with the text as it is."""
        until, text = time.monotonic() + seconds, ""
        while time.monotonic() < until:
            text = await self.text()
            if re.search(pattern, text):
                return text
            if scrolling:
                await self.scroll()
            await asyncio.sleep(0.5)
        raise TimeoutError(f"no {pattern!r} in: {text[:2000]}")

    async def picture(self, path: Path) -> None:
        shot = await self.call("Page.captureScreenshot", format="png")
        path.write_bytes(base64.b64decode(shot["data"]))


@asynccontextmanager
async def browser(folder: Path, width: int = 1400, height: int = 900) -> AsyncIterator[Page]:
    """A page of a Chromium that keeps its profile in `folder`, and is gone after the block."""
    assert CHROMIUM
    flags = ["--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars", "--remote-debugging-port=0"]
    process = await asyncio.create_subprocess_exec(
        CHROMIUM,
        *flags,
        f"--user-data-dir={folder}",
        f"--window-size={width},{height}",
        "about:blank",
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.PIPE,
        env={**os.environ, "HOME": str(folder)},
        start_new_session=True,
    )
    try:
        assert process.stderr
        address = ""
        while not address:
            line = (await asyncio.wait_for(process.stderr.readline(), 60)).decode()
            found = re.search(r"DevTools listening on (\S+)", line)
            address = found[1] if found else ""
            assert line, "Chromium ended"
        async with aiohttp.ClientSession() as session, session.ws_connect(address, max_msg_size=0) as socket:
            page = Page(socket)
            await page.open()
            yield page
            await page.call("Browser.close", session="")
    finally:
        try:
            await asyncio.wait_for(process.wait(), 10)
        except TimeoutError:
            process.kill()
            await process.wait()
