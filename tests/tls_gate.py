"""A proxy on loopback that answers for https://huggingface.co, for clients into which that address is compiled.

It speaks TLS with a certificate of its own making, and hands everything on to a Hub on loopback.
"""

import socket
import ssl
import subprocess
import threading
from pathlib import Path
from types import TracebackType
from typing import Self

from tests.hub_server.server import HubServer

_KEY = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes")
_BY_CA = ("-CA", "ca.pem", "-CAkey", "ca.key", "-CAcreateserial")


class TlsGate:
    """The proxy, in threads of its own; a context manager. `environment` leads a client through it."""

    def __init__(self, hub: HubServer, folder: Path) -> None:
        host, _, port = hub.url.removeprefix("http://").partition(":")
        self._hub = (host, int(port))
        self._context = _certified(folder)
        self._listening = socket.create_server(("127.0.0.1", 0))
        self.environment = {
            "HTTPS_PROXY": f"http://127.0.0.1:{self._listening.getsockname()[1]}",
            "NO_PROXY": "127.0.0.1",
            "SSL_CERT_FILE": str(folder / "ca.pem"),
        }

    def __enter__(self) -> Self:
        threading.Thread(target=self._accept, daemon=True).start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._listening.shutdown(socket.SHUT_RDWR)
        self._listening.close()

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listening.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(client,), daemon=True).start()

    def _serve(self, client: socket.socket) -> None:
        head = b""
        while b"\r\n\r\n" not in head:
            head += client.recv(4096)
        if not head.startswith(b"CONNECT huggingface.co:443 "):  # datasets counts its users at another address
            with client:
                client.sendall(b"HTTP/1.1 403 Forbidden\r\n\r\n")
            return
        client.sendall(b"HTTP/1.1 200 Connected\r\n\r\n")
        with self._context.wrap_socket(client, server_side=True) as inner, socket.create_connection(self._hub) as hub:
            threading.Thread(target=_pump, args=(inner, hub), daemon=True).start()
            _pump(hub, inner)


def _pump(source: socket.socket, target: socket.socket) -> None:
    try:
        while data := source.recv(65536):
            target.sendall(data)
        target.shutdown(socket.SHUT_WR)
    except OSError:
        return


def _certified(folder: Path) -> ssl.SSLContext:
    """A server's context for huggingface.co; the authority that vouches for it is `ca.pem` in the folder."""
    (folder / "names").write_text("subjectAltName=DNS:huggingface.co\n", encoding="utf-8")
    for arguments in (
        ("req", "-x509", *_KEY, "-keyout", "ca.key", "-out", "ca.pem", "-days", "2", "-subj", "/CN=tests"),
        ("req", *_KEY, "-keyout", "own.key", "-out", "own.csr", "-subj", "/CN=huggingface.co"),
        ("x509", "-req", "-in", "own.csr", "-out", "own.pem", "-days", "2", "-extfile", "names", *_BY_CA),
    ):
        subprocess.run(["openssl", *arguments], cwd=folder, check=True, capture_output=True)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(folder / "own.pem", folder / "own.key")
    return context
