"""A RabbitMQ of the tests' own: a private node as an ordinary process on free loopback ports, everything of it in one directory.

Nothing is installed as a service, nothing outside that directory is read or written (not even the cookie), and the node's own epmd
ends with it. It takes some seconds to start, so that a session of tests shares one (fixture `rabbitmq`).
"""

import os
import secrets
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any
from urllib.parse import quote

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID
from kombu import Connection

#: Debian's wrappers in /usr/sbin change to another user and to the system's own node.
PROGRAMS = Path("/usr/lib/rabbitmq/bin")
PATIENCE = 90.0
USER = "relay"

IS_THERE = (PROGRAMS / "rabbitmq-server").exists() and shutil.which("epmd") is not None
MISSING = "not on this machine: rabbitmq-server. Type: sudo apt-get install --no-install-recommends rabbitmq-server"


@dataclass
class Node:
    """One broker. Its ports stay the same over restarts; its certificate is for 127.0.0.1 and no other name."""

    home: Path
    password: str = field(default_factory=lambda: secrets.token_hex(12))
    port: int = 0
    tls_port: int = 0
    #: How long it may take to start.
    patience: float = PATIENCE
    _epmd: "subprocess.Popen[bytes] | None" = None
    _server: "subprocess.Popen[bytes] | None" = None
    _watchers: list["subprocess.Popen[bytes]"] = field(default_factory=list)
    _environment: dict[str, str] = field(default_factory=dict)

    @property
    def url(self) -> str:
        """Its address without the password, as RELAY_PARTNERS has it."""
        return f"amqp://{USER}@127.0.0.1:{self.port}"

    @property
    def tls_url(self) -> str:
        """The same with TLS; whom to trust is not in it."""
        return f"amqps://{USER}@127.0.0.1:{self.tls_port}"

    @property
    def authority(self) -> Path:
        """Who issued its certificate: itself."""
        return self.home / "certificate.pem"

    @property
    def full_url(self) -> str:
        """Its address with the password, as the simulator takes it."""
        return f"amqp://{USER}:{quote(self.password, safe='')}@127.0.0.1:{self.port}"

    def begin(self) -> None:
        """Choose ports and write the configuration; then `start`."""
        self.port, self.tls_port, dist, epmd = _free_ports(4)
        lines = [
            f"listeners.tcp.1 = 127.0.0.1:{self.port}",
            f"default_user = {USER}",
            f"default_pass = {self.password}",
            f"log.file = {self.home / 'node.log'}",
            "log.file.level = warning",
            f"listeners.ssl.1 = 127.0.0.1:{self.tls_port}",
            f"ssl_options.certfile = {self.authority}",
            f"ssl_options.keyfile = {self.home / 'key.pem'}",
            "ssl_options.verify = verify_none",
        ]
        _write_certificate(self.authority, self.home / "key.pem")
        (self.home / "rabbitmq.conf").write_text("\n".join(lines) + "\n")
        own = {
            "NODENAME": f"lnsw-tests-{self.port}@localhost",
            "CONFIG_FILE": self.home / "rabbitmq.conf",
            "CONF_ENV_FILE": self.home / "none",
            "ENABLED_PLUGINS_FILE": self.home / "none",
            "MNESIA_BASE": self.home / "mnesia",
            "LOG_BASE": self.home,
            "PID_FILE": self.home / "pid",
            "PLUGINS_EXPAND_DIR": self.home / "plugins",
            "GENERATED_CONFIG_DIR": self.home / "generated",
            "DIST_PORT": dist,
            "SERVER_ADDITIONAL_ERL_ARGS": "-kernel inet_dist_use_interface {127,0,0,1} +S 2:2",
            "CTL_ERL_ARGS": "+S 1:1",
        }
        self._environment = {
            "PATH": os.environ["PATH"],
            "LANG": "C.UTF-8",
            "HOME": str(self.home),  # the cookie is made there
            "ERL_EPMD_PORT": str(epmd),
            "ERL_EPMD_ADDRESS": "127.0.0.1",
        } | {f"RABBITMQ_{name}": str(value) for name, value in own.items()}
        self._epmd = self._spawn(["epmd", "-port", str(epmd), "-address", "127.0.0.1"])
        self.start()

    def start(self) -> None:
        """Start the node and wait until it takes connections."""
        self._server = self._spawn([str(PROGRAMS / "rabbitmq-server")])
        end = time.monotonic() + self.patience
        while not self._answers():
            assert self._server.poll() is None, f"the broker does not start: {(self.home / 'output').read_text()[-2000:]}"
            assert time.monotonic() < end, "the broker does not answer"
            time.sleep(0.05)

    def _spawn(self, command: list[str]) -> "subprocess.Popen[bytes]":
        with (self.home / "output").open("ab") as output:
            process = subprocess.Popen(
                command,
                env=self._environment,
                cwd=self.home,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                start_new_session=True,
            )
        # Reads until we are gone, in whatever way: nothing of it outlives a run of tests that was killed.
        watch = ["/bin/sh", "-c", 'read -r _; kill -s KILL -- "-$0"', str(process.pid)]
        self._watchers.append(subprocess.Popen(watch, stdin=subprocess.PIPE, stderr=subprocess.DEVNULL, start_new_session=True))
        return process

    def _answers(self) -> bool:
        try:
            with self.connected():
                return True
        except OSError:
            return False

    def kill(self) -> None:
        """As a power cut does it."""
        assert self._server is not None
        os.killpg(self._server.pid, signal.SIGKILL)
        self._server.wait()
        _dismiss(self._watchers.pop())

    def pause(self) -> None:
        """It keeps its connections and says nothing any more: half-open."""
        assert self._server is not None
        os.killpg(self._server.pid, signal.SIGSTOP)

    def resume(self) -> None:
        assert self._server is not None
        os.killpg(self._server.pid, signal.SIGCONT)

    def close(self) -> None:
        """End the node and its epmd."""
        for process in (self._server, self._epmd):
            if process is not None and process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()
        for watcher in self._watchers:
            _dismiss(watcher)

    def control(self, *command: str) -> str:
        """`rabbitmqctl` on this node; what it prints."""
        done = subprocess.run(
            [str(PROGRAMS / "rabbitmqctl"), "--quiet", "--node", self._environment["RABBITMQ_NODENAME"], *command],
            env=self._environment,
            cwd=self.home,
            capture_output=True,
            text=True,
            timeout=PATIENCE,
            check=False,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    @contextmanager
    def connected(self) -> Iterator[Any]:
        """An AMQP channel of py-amqp, confirming what it publishes, by an account that may do everything."""
        client = Connection(self.full_url, connect_timeout=5, transport_options={"confirm_publish": True})
        raw = client.transport.establish_connection()
        try:
            raw.sock.settimeout(20)
            channel = raw.channel()
            channel.auto_decode = False
            yield channel
        finally:
            raw.collect()


@contextmanager
def running_node(patience: float = PATIENCE) -> Iterator[Node]:
    """A node while it lasts."""
    with TemporaryDirectory(prefix="lnsw-rabbitmq-") as home:
        node = Node(Path(home), patience=patience)
        try:
            node.begin()
            yield node
        finally:
            node.close()


@pytest.fixture(scope="session")
def rabbitmq() -> Iterator[Node]:
    """One node for all tests of a session; each test has queues of its own."""
    if not IS_THERE:
        pytest.skip(MISSING)
    with running_node() as node:
        yield node


def _dismiss(watcher: "subprocess.Popen[bytes]") -> None:
    watcher.kill()
    watcher.communicate()


def _write_certificate(certificate: Path, key: Path) -> None:
    private = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "broker of the tests")])
    now = datetime.now(UTC)
    built = (
        x509.CertificateBuilder(
            name, name, private.public_key(), x509.random_serial_number(), now - timedelta(hours=1), now + timedelta(days=2)
        )
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ip_address("127.0.0.1"))]), critical=False)
        .sign(private, hashes.SHA256())
    )
    certificate.write_bytes(built.public_bytes(Encoding.PEM))
    key.write_bytes(private.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))


def _free_ports(number: int) -> list[int]:
    """Ports on which nobody listens, all different."""
    probes = [socket.socket() for _ in range(number)]
    try:
        for probe in probes:
            probe.bind(("127.0.0.1", 0))
        return [int(probe.getsockname()[1]) for probe in probes]
    finally:
        for probe in probes:
            probe.close()
