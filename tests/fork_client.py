"""The client of tests/forking.py: light, so that it starts in a few milliseconds."""

import json
import os
import signal
import socket
import struct
import sys
from pathlib import Path

address, count, *arguments = sys.argv[1:]
program, arguments = arguments[: int(count)], arguments[int(count) :]
server = socket.socket(socket.AF_UNIX)
server.connect(address)
content = {
    "program": program,
    "arguments": arguments,
    "folder": str(Path.cwd()),
    "environment": dict(os.environ),
}
message = json.dumps(content).encode()
socket.send_fds(server, [struct.pack("q", len(message))], [0, 1, 2])
server.sendall(message)
(child,) = struct.unpack("i", server.recv(4))
if child == -1000:
    os.execv(sys.executable, [sys.executable, *program, *arguments])


def forward(number: int, _: object) -> None:
    os.kill(child, number)


for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
    signal.signal(number, forward)
data = server.recv(4)
code = struct.unpack("i", data)[0] if len(data) == 4 else 1
if code < 0:  # it died of a signal: so does this
    if -code != signal.SIGKILL:
        signal.signal(-code, signal.SIG_DFL)
    os.kill(os.getpid(), -code)
sys.exit(code)
