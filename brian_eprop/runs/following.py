"""The report of a run that goes on, served on this machine for as long as it is looked at.

The page is that of `write_report`, made from what the run folder holds when it is asked for, and
asks every two seconds whether there is more. It is served on 127.0.0.1 at an address with a random
token, so that no other user and no page of the web that the same browser shows can read it.
"""

import secrets
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Lock

from ..checks import FilePath, is_whole, shown
from . import folder as files
from .report import RunContents, page

HOST, LAST_PORT = "127.0.0.1", 65535
#: What is shown, and nothing else: the page executes no code but its own.
HEADERS = {
    "Cache-Control": "no-store",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "Content-Security-Policy": (
        "default-src 'none'; img-src data:; style-src 'unsafe-inline'; script-src 'unsafe-inline';"
        " connect-src 'self'; base-uri 'none'; frame-ancestors 'none'"
    ),
}


class ReportServer(ThreadingHTTPServer):
    """A server of the report of one run folder; call ``serve_forever``, and ``server_close``.

    Gradients are not checked while a run goes on: `write_report` does it when it has ended.
    Nothing in the folder is executed, and nothing is written.

    Parameters
    ----------
    folder : path-like
        A run folder.
    port : int, optional
        0, the default, for one that is free.

    Attributes
    ----------
    address : str
        What to open in a browser.

    Raises
    ------
    FileNotFoundError
        If it is not a run folder.
    ValueError
        If the port is no number of a port.
    OSError
        If it cannot be had.
    """

    daemon_threads = True
    # A second server on the same port would take over its visitors
    allow_reuse_address = False

    def __init__(self, folder: FilePath, port: int = 0):
        self.folder = Path(folder)
        files.check_is_run(self.folder)
        if not is_whole(port) or not 0 <= port <= LAST_PORT:
            raise ValueError(
                f"the port must be an integer from 0 to {LAST_PORT}, not {shown(port)}"
            )
        self._path = f"/{secrets.token_urlsafe(24)}/"
        self._lock, self._state, self._page = Lock(), "", b""
        try:
            super().__init__((HOST, port), _Handler)
        except OSError as error:
            raise OSError(
                f"port {port} of {HOST} cannot be had ({error.strerror}): name another one with "
                "--port, or 0 for one that is free"
            ) from None
        self.address = f"http://{HOST}:{self.server_port}{self._path}"

    def state(self) -> str:
        """How far the run is: a text that changes whenever a file of the page has.

        Raises
        ------
        FileNotFoundError
            If the folder is gone.
        """
        files.check_is_run(self.folder)
        names = (files.HISTORY, files.CHECKPOINT, files.WEIGHTS, files.RESULT, files.CONFIGURATION)
        times = []
        for path in (*(self.folder / name for name in names), *files.recordings(self.folder)):
            try:
                status = path.stat()
            except FileNotFoundError:
                continue
            times.append(f"{path.name} {status.st_mtime_ns} {status.st_size}")
        return "\n".join(times)

    def page(self) -> bytes:
        """The report as it is now; drawn once for each state.

        Raises
        ------
        FileNotFoundError
            If the folder is gone.
        ValueError
            If a file in it is damaged.
        """
        with self._lock:  # matplotlib draws one figure at a time
            state = self.state()
            if state != self._state:
                run = RunContents.read(self.folder)
                self._page = page(run, run.task(), None, follow="state").encode()
                self._state = state
            return self._page

    def answer(self, path: str, host: str) -> tuple[HTTPStatus, str, bytes]:
        """Status, type and content of what a browser asks for.

        Parameters
        ----------
        path : str
        host : str
            As the browser calls this server. Another name than its own is that of a page of the
            web which has it point here.
        """
        if host != f"{HOST}:{self.server_port}":
            return HTTPStatus.MISDIRECTED_REQUEST, "text/plain", b"not this server\n"
        known = {self._path: self.page, f"{self._path}state": lambda: self.state().encode()}
        for address, content in known.items():
            if secrets.compare_digest(address.encode(), path.encode()):
                try:
                    kind = "text/html" if address == self._path else "text/plain"
                    return HTTPStatus.OK, kind, content()
                except (ValueError, OSError) as error:
                    return HTTPStatus.GONE, "text/plain", f"{error}\n".encode()
        return HTTPStatus.NOT_FOUND, "text/plain", b"no such page\n"


class _Handler(BaseHTTPRequestHandler):
    """Answers of a `ReportServer`."""

    server: ReportServer
    server_version, sys_version = "brian_eprop", ""

    def do_GET(self):
        status, kind, content = self.server.answer(self.path, self.headers.get("Host", ""))
        self.send_response(status)
        headers = {"Content-Type": f"{kind}; charset=utf-8", "Content-Length": str(len(content))}
        for name, value in (headers | HEADERS).items():
            self.send_header(name, value)
        self.end_headers()
        try:
            self.wfile.write(content)
        except ConnectionError:
            pass  # the page was closed meanwhile

    def log_message(self, *arguments):
        """Write nothing: the token is in what would be logged."""
