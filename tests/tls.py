"""A certificate of our own, and what stands between a client and a provider: a proxy on this machine."""

import ssl
import threading
from collections.abc import Generator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from select import select
from socket import create_connection, socket

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

NAME = "localhost"


def certificate(folder: Path, name: str = "own") -> Path:
    """A self-signed certificate for this machine, with its key, in one PEM file."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, NAME)])
    now = datetime.now(UTC)
    signed = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(NAME)]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    path = folder / f"{name}.pem"
    path.write_bytes(private + signed.public_bytes(serialization.Encoding.PEM))
    return path


@contextmanager
def https(pem: Path) -> Generator[str]:
    """An empty Formant account over TLS; its address."""

    class Api(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            body = b'{"data": [], "total": 0, "has_more": false}'
            self.send_response(200)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002
            pass

    with _served(Api) as server:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(pem)
        server.socket = context.wrap_socket(server.socket, server_side=True)
        yield f"https://{NAME}:{server.server_port}"


@contextmanager
def proxy(refuses_with: int = 0) -> Generator[str]:
    """A proxy for encrypted connections, or one that refuses them; its address."""

    class Proxy(BaseHTTPRequestHandler):
        def do_CONNECT(self) -> None:
            if refuses_with:
                self.send_error(refuses_with)
                return
            host, _, port = self.path.rpartition(":")
            with create_connection((host, int(port))) as upstream:
                self.send_response(200)
                self.end_headers()
                _relay(self.connection, upstream)

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002
            pass

    with _served(Proxy) as server:
        yield f"http://127.0.0.1:{server.server_port}"


def _relay(client: socket, upstream: socket) -> None:
    ends = {client: upstream, upstream: client}
    with suppress(OSError):
        while True:
            for ready in select(list(ends), [], [])[0]:
                data = ready.recv(65_536)
                if not data:
                    return
                ends[ready].sendall(data)


@contextmanager
def _served(handler: type[BaseHTTPRequestHandler]) -> Generator[ThreadingHTTPServer]:
    class Quiet(ThreadingHTTPServer):
        daemon_threads = True

        def handle_error(self, request: object, client_address: object) -> None:
            pass  # a client that does not accept the certificate hangs up

    with Quiet(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield server
        finally:
            server.shutdown()
            thread.join()
