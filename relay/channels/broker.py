"""The way to a partner's message broker (AMQP 0-9-1, kombu's py-amqp transport): where it is, one connection, time limits on everything.

A connection is kept by the thread that opened it, from one job to the next. It carries heartbeats while it is used; one that lay
unused for longer is replaced. After a failure the broker is left alone for a while, so that one that is away does not keep workers
from the other partners. Whatever goes wrong is a BrokerError with a text for operators; no text and no log line holds a password.
"""

import os
import socket
import struct
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from ssl import CERT_REQUIRED
from typing import Any, Final
from urllib.parse import parse_qsl, unquote, urlsplit

import structlog
from amqp import Connection as AmqpConnection
from amqp.exceptions import AMQPError
from django.conf import settings
from kombu import Connection
from kombu.transport import pyamqp

from relay.channels.frames import frame_handler

log = structlog.get_logger(__name__)

#: Both sides hang up on a peer that said nothing for about twice as long.
HEARTBEAT_SECONDS: Final = 60
#: A broker that does not take a connection for so long is away.
CONNECT_SECONDS: Final = 3.0
#: After a failure the broker is left alone for four times as long as that took, within these limits.
QUIET_SECONDS: Final = (1.0, 30.0)
#: What may lie in the queue of what was set aside unread. Beyond that it stays where it was.
PARKED_BYTES: Final = 1024**3
#: What py-amqp raises: it also stumbles over its own fields when a connection goes while it is used, and over what is no AMQP.
_FAILURES: Final = (AMQPError, OSError, AttributeError, KeyError, ValueError, struct.error)
_TLS_OPTIONS: Final = {"ssl_ca_certs": "ca_certs", "ssl_certfile": "certfile", "ssl_keyfile": "keyfile"}
_OPTIONS: Final = {"channel", "url", "out", "in", "fail", "parked", "declare"}


class BrokerError(RuntimeError):
    """The broker is away, full, or refuses; the text is for operators."""


class BadBrokerOptionsError(ValueError):
    """A partner's options or its password cannot be used; the text says why and holds no secret."""


@dataclass(frozen=True, slots=True)
class BrokerOptions:
    """Where a partner's broker is, and what its queues are called."""

    partner: str
    host: str
    port: int
    virtual_host: str
    user: str
    password: str = field(repr=False)
    tls: Mapping[str, Any] | None
    out_queue: str
    in_queue: str
    fail_queue: str
    parked_queue: str
    declare: bool

    @classmethod
    def read(cls, partner: str, options: Mapping[str, str], passwords: Mapping[str, str]) -> "BrokerOptions":
        """From a partner's row in `RELAY_PARTNERS` and from `RELAY_BROKER_PASSWORDS`. Raises BadBrokerOptionsError."""
        if strange := sorted(set(options) - _OPTIONS):
            raise BadBrokerOptionsError(f"unknown options {', '.join(strange)}")
        if not all(isinstance(value, str) and value for value in options.values()):
            raise BadBrokerOptionsError("every option is a text that is not empty")
        if options.get("declare", "yes") not in ("yes", "no"):
            raise BadBrokerOptionsError("declare is neither yes nor no")
        queues = [options.get(name, f"{partner}.{name}") for name in ("out", "in", "fail", "parked")]
        if len(set(queues)) != len(queues):
            raise BadBrokerOptionsError("two queues have one name")
        if any(len(queue.encode()) > 255 or queue.startswith("amq.") for queue in queues):
            raise BadBrokerOptionsError("a queue's name is longer than 255 bytes or begins with amq.")
        password = passwords.get(partner, "")
        if not isinstance(password, str) or not password:
            raise BadBrokerOptionsError("RELAY_BROKER_PASSWORDS has no password for it")
        url = options.get("url", "")
        host, port, virtual_host, user = _address(url)
        out_queue, in_queue, fail_queue, parked_queue = queues
        return cls(
            partner=partner,
            host=host,
            port=port,
            virtual_host=virtual_host,
            user=user,
            password=password,
            tls=_tls(url),
            out_queue=out_queue,
            in_queue=in_queue,
            fail_queue=fail_queue,
            parked_queue=parked_queue,
            declare=options.get("declare") != "no",
        )


def _address(url: str) -> tuple[str, int, str, str]:
    try:
        parts = urlsplit(url)
        host, port = parts.hostname, parts.port
    except ValueError:
        raise BadBrokerOptionsError("url is no address") from None
    if parts.scheme not in ("amqp", "amqps") or not host or parts.fragment:
        raise BadBrokerOptionsError("url is not amqps://user@host:port/virtual-host")
    if parts.password is not None:
        raise BadBrokerOptionsError("url holds a password; it belongs into RELAY_BROKER_PASSWORDS")
    if not parts.username:
        raise BadBrokerOptionsError("url names no user")
    virtual_host = unquote(parts.path.removeprefix("/")) or "/"
    return host, port or (5671 if parts.scheme == "amqps" else 5672), virtual_host, unquote(parts.username)


def _tls(url: str) -> Mapping[str, Any] | None:
    """What the TLS layer is told. Certificate and name of the broker are always checked: there is no option that turns it off."""
    parts = urlsplit(url)
    given = dict(parse_qsl(parts.query, keep_blank_values=True))
    if strange := sorted(set(given) - set(_TLS_OPTIONS)):
        raise BadBrokerOptionsError(f"url has unknown parameters {', '.join(strange)}")
    if parts.scheme != "amqps":
        if given:
            raise BadBrokerOptionsError("url has parameters of TLS and is not amqps://")
        return None
    for name, path in given.items():
        if not Path(path).is_file():
            raise BadBrokerOptionsError(f"{name}: there is no file {path}")
    if "ssl_keyfile" in given and "ssl_certfile" not in given:
        raise BadBrokerOptionsError("ssl_keyfile without ssl_certfile")
    return {_TLS_OPTIONS[name]: path for name, path in given.items()} | {"cert_reqs": CERT_REQUIRED, "server_hostname": parts.hostname}


class _Connection(pyamqp.Connection):
    """py-amqp closes the socket of a connection that fails to come about for some reasons, and not for others."""

    def connect(self, callback: Any = None) -> Any:
        try:
            return super().connect(callback)
        except BaseException:
            self.collect()
            raise


class _Transport(pyamqp.Transport):
    Connection = _Connection


class Link:
    """The connection of one thread to one broker."""

    def __init__(self, options: BrokerOptions, seconds: float) -> None:
        self.options = options
        self.seconds = seconds
        self.process = os.getpid()
        self.blocked = False
        self._raw: AmqpConnection | None = None
        self._used = 0.0
        self._quiet_until = 0.0
        self._last_error = ""
        self._channels: dict[str, Any] = {}

    def __del__(self) -> None:
        # With its thread. The socket of a parent process is closed on this side only, without a word to the broker.
        if self.process == os.getpid():
            self.drop()

    @contextmanager
    def channel(self, name: str) -> Iterator[Any]:
        """An AMQP channel while it lasts; what it holds unacknowledged goes back to its queue afterwards. Raises BrokerError."""
        with self.guarded():
            channel = self.open(name)
            try:
                yield channel
            finally:
                if channel.is_open and channel.connection is self._raw:
                    channel.close()

    def open(self, name: str) -> Any:
        """A new AMQP channel; one of the same name that was left open is closed before. Only within `guarded`."""
        raw = self._connection()
        left = self._channels.pop(name, None)
        if left is not None and left.is_open and left.connection is raw:
            left.close()
        channel = raw.channel()
        # Or a message that says what its bytes are encoded in would come as a text, and not byte for byte.
        channel.auto_decode = False
        self._channels[name] = channel
        return channel

    @contextmanager
    def guarded(self) -> Iterator[None]:
        """Turns what goes wrong inside into a BrokerError, and the connection away with it."""
        try:
            yield
        except _FAILURES as error:
            text = f"{type(error).__name__}: {error}".rstrip(": ")
            if isinstance(error, TimeoutError):
                text = f"the broker did not answer within {self.seconds:g} s"
                self._be_quiet(self.seconds, text)
            if self._raw is not None:
                log.warning("broker_lost", partner=self.options.partner, error=text)
            self.drop()
            raise BrokerError(text) from error

    def wait(self, until: float) -> None:
        """Take the next thing the broker says; only within `guarded`.

        Raises TimeoutError at `until` (monotonic), or when it is silent for too long, and ConnectionError when the connection was let go.
        """
        if self._raw is None:
            raise ConnectionError("the connection was let go")
        self._raw.drain_events(timeout=max(0.001, min(self.seconds, until - time.monotonic())))

    def drop(self) -> None:
        """Let the connection go without a word; the broker puts back what was not acknowledged."""
        raw, self._raw = self._raw, None
        self._channels.clear()
        if raw is not None:
            raw.collect()

    def _connection(self) -> AmqpConnection:
        if self._raw is not None and not self._is_alive():
            self.drop()
        raw = self._raw or self._connect()
        self._used = time.monotonic()
        return raw

    def _is_alive(self) -> bool:
        """Whether the connection may be used, by what the broker has said and not said meanwhile."""
        assert self._raw is not None  # noqa: S101 - asked of a connection
        if not self._raw.connected or time.monotonic() - self._used > HEARTBEAT_SECONDS:
            return False
        try:
            while True:
                self._raw.drain_events(timeout=0.001)
        except TimeoutError:
            pass
        except _FAILURES:
            return False
        try:
            self._raw.heartbeat_tick()
        except _FAILURES:
            return False
        return True

    def _connect(self) -> AmqpConnection:
        if time.monotonic() < self._quiet_until:
            raise BrokerError(self._last_error)
        begun = time.monotonic()
        self.blocked = False
        try:
            raw = self._raw = self._established()
            if self.options.declare:
                self._declare(raw)
        except _FAILURES as error:
            text = f"no connection to the broker at {self.options.host}:{self.options.port}: {str(error) or type(error).__name__}"
            self.drop()
            self._be_quiet(time.monotonic() - begun, text)
            log.warning("broker_away", partner=self.options.partner, error=text)
            raise BrokerError(text) from error
        return raw

    def _established(self) -> AmqpConnection:
        name = f"{settings.RELAY_SENDER_ID} relay, {socket.gethostname()}:{os.getpid()}"
        # By the transport itself: kombu's own `connect` tries again with pauses, which the relay does by itself (docs/adr/0030).
        client = Connection(
            hostname=self.options.host,
            port=self.options.port,
            userid=self.options.user,
            password=self.options.password,
            virtual_host=self.options.virtual_host,
            ssl=dict(self.options.tls) if self.options.tls else False,
            transport=_Transport,
            connect_timeout=min(CONNECT_SECONDS, self.seconds),
            heartbeat=HEARTBEAT_SECONDS,
            transport_options={
                "on_blocked": self._on_blocked,
                "on_unblocked": self._on_unblocked,
                "client_properties": {"connection_name": name},
                "frame_handler": frame_handler,
            },
        )
        raw: AmqpConnection = client.transport.establish_connection()
        # py-amqp waits without end for the answer to a method; the socket does not.
        raw.transport.sock.settimeout(self.seconds)
        # The broker knows by now that it is to tell us when it is full. py-amqp would also look for that before each message,
        # without waiting, and spin on a frame of which one half has come; we look ourselves.
        raw.client_properties.get("capabilities", {})["connection.blocked"] = False
        return raw

    def _declare(self, raw: AmqpConnection) -> None:
        """The queues, as docs/protocol/README.md has them. Raises ChannelError where one is there with other arguments."""
        options = self.options
        refused = {"x-dead-letter-exchange": "", "x-dead-letter-routing-key": options.fail_queue}
        full = {"x-max-length-bytes": PARKED_BYTES, "x-overflow": "reject-publish"}
        arguments: dict[str, dict[str, Any]] = {options.out_queue: refused, options.in_queue: {}, options.fail_queue: {}}
        channel = raw.channel()
        for queue, extra in (arguments | {options.parked_queue: full}).items():
            channel.queue_declare(queue, durable=True, auto_delete=False, arguments=extra)
        channel.close()

    def _be_quiet(self, took: float, text: str) -> None:
        shortest, longest = QUIET_SECONDS
        self._quiet_until = time.monotonic() + min(longest, max(shortest, 4 * took))
        self._last_error = text

    def _on_blocked(self, _reason: str) -> None:
        self.blocked = True

    def _on_unblocked(self) -> None:
        self.blocked = False


_mine = threading.local()


def link(options: BrokerOptions, seconds: float) -> Link:
    """This thread's link to a partner's broker. Nothing is connected yet; `seconds` is how long the broker may take for one answer."""
    links: dict[str, Link] = _mine.__dict__.setdefault("links", {})
    known = links.get(options.partner)
    if known is not None and known.process == os.getpid():
        if known.options == options and known.seconds == seconds:
            return known
        known.drop()
    # A link that came with a fork is the parent's: not used, not closed, only forgotten.
    links[options.partner] = Link(options, seconds)
    return links[options.partner]
