"""A real Apache Kafka broker (KRaft, one node, loopback) for tests; it ends with the process that started it."""

from __future__ import annotations

import base64
import fcntl
import os
import random
import shutil
import signal
import socket
import subprocess
import time
import uuid
from collections.abc import Mapping
from pathlib import Path
from tempfile import mkdtemp

HERE = Path(__file__).parent
STORE = HERE.parents[1] / ".kafka"
START_LIMIT = 90.0
PATIENCE = 60.0
"""Seconds that a test waits for what a broker does before it fails."""
"""Seconds a broker may take until its port is open; 2 are usual, 9 on a busy machine."""

USERS = {"admin": ("SCRAM-SHA-256", "admin-secret"), "worker": ("SCRAM-SHA-512", "worker-secret")}
"""Users of a secure broker: `admin` may do everything, `worker` what a test allows it."""


class Broker:
    """One broker, plain or (`secure`) SASL_SSL with SCRAM users and ACLs. Started by `start` or by `with`.

    `settings` are added to server.properties. A test that pauses or kills its broker has one of its own; all
    others share that of the session.
    """

    def __init__(self, *, secure: bool = False, settings: Mapping[str, str] | None = None) -> None:
        self.secure = secure
        self.settings = dict(settings or {})
        self.port, self._controller_port = _free_ports()
        self.bootstrap = f"127.0.0.1:{self.port}"
        self.folder = Path(mkdtemp(prefix="keepwell-broker-"))
        self.pid = 0
        self._guard: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Broker:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def cafile(self) -> str:
        """The certificate that a client of a secure broker trusts."""
        return str(self.folder / "ca.pem")

    def security(self, user: str) -> dict[str, str]:
        """What `KafkaLog(security=...)` needs to come in as `user`."""
        mechanism, password = USERS[user]
        return {"username": user, "password": password, "mechanism": mechanism, "cafile": self.cafile}

    def start(self) -> None:
        """Formats the data folder the first time, starts the broker and waits until its port is open."""
        if not (self.folder / "server.properties").exists():
            self._prepare()
        # The guard reads a pipe whose other end dies with us, however we die; then it kills the broker.
        guard = (
            '"$@" >>broker.log 2>&1 & broker=$!; echo $broker; exec 3<&0; '
            "(cat <&3 >/dev/null; kill -9 $broker 2>/dev/null) >/dev/null & wait $broker"
        )
        self._guard = subprocess.Popen(
            ["sh", "-c", guard, "guard", *_java(), "kafka.Kafka", "server.properties"],
            cwd=self.folder,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        assert self._guard.stdout is not None
        self.pid = int(self._guard.stdout.readline())
        self._wait_for_port()

    def pause(self) -> None:
        """Freezes the broker: connections stay open, nothing answers."""
        os.kill(self.pid, signal.SIGSTOP)

    def resume(self) -> None:
        """Ends `pause`."""
        os.kill(self.pid, signal.SIGCONT)

    def kill(self) -> None:
        """kill -9. `start` brings it back with the same port and data."""
        self._end(signal.SIGKILL)

    def stop(self) -> None:
        """An orderly end. `start` brings it back with the same port and data."""
        self._end(signal.SIGTERM)

    def close(self) -> None:
        """Ends the broker and removes its data."""
        self.kill()
        shutil.rmtree(self.folder, ignore_errors=True)

    def _end(self, sign: signal.Signals) -> None:
        guard, self._guard = self._guard, None
        if guard is None:
            return
        assert guard.stdin is not None
        assert guard.stdout is not None
        if guard.poll() is None:
            os.kill(self.pid, sign)
        try:
            guard.wait(timeout=20)
        except subprocess.TimeoutExpired:
            os.kill(self.pid, signal.SIGKILL)
            guard.wait(timeout=20)
        guard.stdin.close()
        guard.stdout.close()

    def _wait_for_port(self) -> None:
        assert self._guard is not None
        deadline = time.monotonic() + START_LIMIT
        while time.monotonic() < deadline:
            if self._guard.poll() is not None:
                raise RuntimeError(f"the broker ended at its start:\n{self._tail()}")
            with socket.socket() as probe:
                probe.settimeout(1)
                if probe.connect_ex(("127.0.0.1", self.port)) == 0:
                    return
            time.sleep(0.05)
        raise RuntimeError(f"the broker did not open its port within {START_LIMIT:.0f} s:\n{self._tail()}")

    def _tail(self) -> str:
        return "\n".join((self.folder / "broker.log").read_text(errors="replace").splitlines()[-30:])

    def _prepare(self) -> None:
        if self.secure:
            _make_certificates(self.folder)
        settings = _settings(self.port, self._controller_port, self.secure) | self.settings
        (self.folder / "log4j2.properties").write_text(LOG4J)
        (self.folder / "server.properties").write_text("".join(f"{k}={v}\n" for k, v in settings.items()))
        cluster = base64.urlsafe_b64encode(uuid.UUID(int=uuid.uuid4().int >> 8).bytes).decode().rstrip("=")
        users = [f"{how}=[name={name},password={word}]" for name, (how, word) in USERS.items() if self.secure]
        _run(
            [*_java(), "kafka.tools.StorageTool", "format", "-t", cluster, "-c", "server.properties"]
            + [part for user in users for part in ("--add-scram", user)],
            self.folder,
        )


LOG4J = """\
rootLogger.level=warn
rootLogger.appenderRef.c.ref=C
appender.c.type=Console
appender.c.name=C
appender.c.layout.type=PatternLayout
appender.c.layout.pattern=%d %p %c{1} %m%n
"""


def _settings(port: int, controller: int, secure: bool) -> dict[str, str]:
    kind = "SASL_SSL" if secure else "PLAINTEXT"
    plain = {
        "process.roles": "broker,controller",
        "node.id": "1",
        "controller.quorum.voters": f"1@127.0.0.1:{controller}",
        "listeners": f"{kind}://127.0.0.1:{port},CONTROLLER://127.0.0.1:{controller}",
        "advertised.listeners": f"{kind}://127.0.0.1:{port}",
        "controller.listener.names": "CONTROLLER",
        "listener.security.protocol.map": f"CONTROLLER:PLAINTEXT,{kind}:{kind}",
        "inter.broker.listener.name": kind,
        "log.dirs": "data",
        "auto.create.topics.enable": "false",
        "offsets.topic.replication.factor": "1",
        "offsets.topic.num.partitions": "1",
        "transaction.state.log.replication.factor": "1",
        "transaction.state.log.min.isr": "1",
        "transaction.state.log.num.partitions": "1",
        "share.coordinator.state.topic.replication.factor": "1",
        "share.coordinator.state.topic.min.isr": "1",
        "group.initial.rebalance.delay.ms": "0",
        "group.min.session.timeout.ms": "1000",
        "log.cleaner.backoff.ms": "500",
        "log.initial.task.delay.ms": "500",
        # A broker killed and started again must wait until its old registration expires: 2 s instead of 9.
        "broker.session.timeout.ms": "2000",
        "broker.heartbeat.interval.ms": "500",
    }
    if not secure:
        return plain
    login = "org.apache.kafka.common.security.scram.ScramLoginModule required"
    mechanism, password = USERS["admin"]
    return plain | {
        "sasl.enabled.mechanisms": "SCRAM-SHA-256,SCRAM-SHA-512",
        "sasl.mechanism.inter.broker.protocol": mechanism,
        "listener.name.sasl_ssl.scram-sha-256.sasl.jaas.config": f'{login} username="admin" password="{password}";',
        "listener.name.sasl_ssl.scram-sha-512.sasl.jaas.config": f"{login};",
        "ssl.keystore.type": "PEM",
        "ssl.keystore.location": "server.pem",
        "ssl.truststore.type": "PEM",
        "ssl.truststore.location": "ca.pem",
        "authorizer.class.name": "org.apache.kafka.metadata.authorizer.StandardAuthorizer",
        # ANONYMOUS is the controller's loopback listener only: for tests, never for production.
        "super.users": "User:admin;User:ANONYMOUS",
        "allow.everyone.if.no.acl.found": "false",
    }


def _java() -> list[str]:
    """The start of every java command; the first call of all fetches the jars."""
    jars = STORE / "jars"
    _install(jars)
    heap = ["-Xmx512m", "-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC"]
    return ["java", *heap, "-Dlog4j2.configurationFile=log4j2.properties", "-cp", f"{jars}/*"]


def _install(jars: Path) -> None:
    """Fetches the jars that pom.xml names unless they are there; several test runs may ask at once."""
    for tool in ("java", "mvn", "openssl"):
        if shutil.which(tool) is None:
            raise RuntimeError(f"`{tool}` is not installed; tests on a real Kafka need Java 17, Maven and OpenSSL")
    pom, stamp = HERE / "pom.xml", jars / "installed-from.xml"
    STORE.mkdir(exist_ok=True)
    with (STORE / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if stamp.exists() and stamp.read_bytes() == pom.read_bytes():
            return
        shutil.rmtree(jars, ignore_errors=True)
        _run(["mvn", "-q", "-B", "-f", str(pom), "dependency:copy-dependencies", f"-DoutputDirectory={jars}"], HERE)
        stamp.write_bytes(pom.read_bytes())


def _make_certificates(folder: Path) -> None:
    """A certificate authority for two days and a server certificate for localhost and 127.0.0.1."""
    new = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2"]
    _run([*new, "-subj", "/CN=keepwell-test-ca", "-keyout", "ca.key", "-out", "ca.pem"], folder)
    names = "subjectAltName=DNS:localhost,IP:127.0.0.1"
    by_ca = ["-CA", "ca.pem", "-CAkey", "ca.key", "-subj", "/CN=localhost", "-addext", names]
    _run([*new, *by_ca, "-keyout", "server.key", "-out", "server.crt"], folder)
    parts = [(folder / name).read_text() for name in ("server.key", "server.crt", "ca.pem")]
    (folder / "server.pem").write_text("".join(parts))


def _run(command: list[str], folder: Path) -> None:
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False, timeout=600)
    if done.returncode:
        raise RuntimeError(f"`{command[0]}` failed with {done.returncode}:\n{done.stdout}\n{done.stderr}")


def _free_ports() -> tuple[int, int]:
    """Two free ports outside the range from which outgoing connections take theirs (32768 and up on Linux)."""
    found: list[int] = []
    while len(found) < 2:
        port = random.randrange(20000, 32000)
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
        if port not in found:
            found.append(port)
    return found[0], found[1]
