"""`python -m tests.broker [--secure]`: starts a broker, prints its address and keeps it up until Ctrl-C."""

import signal
import sys

from tests.broker.broker import Broker


def main() -> None:
    """Prints `host:port`; for a secure broker also the certificate to trust."""
    with Broker(secure="--secure" in sys.argv[1:]) as broker:
        print(broker.bootstrap, *([broker.cafile] if broker.secure else []), flush=True)
        signal.sigwait({signal.SIGINT, signal.SIGTERM})


if __name__ == "__main__":
    # Blocked, so that sigwait receives them instead of the default handlers, which would leave the data folder behind.
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT, signal.SIGTERM})
    main()
