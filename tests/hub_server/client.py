"""The environment in which a command speaks to a Hub on loopback and to nothing else."""

from pathlib import Path

from tests.hub_server.server import WRITE_TOKEN, HubServer


def online(server: HubServer, home: Path, *, xet: bool = False, **more: str) -> dict[str, str]:
    """The environment of a client of this Hub, with a home of its own; without `xet` it uploads through LFS."""
    return {
        "HF_ENDPOINT": server.url,
        "HF_HUB_OFFLINE": "0",
        "HF_HUB_DISABLE_XET": "0" if xet else "1",
        "HF_HUB_DISABLE_TELEMETRY": "1",
        "HF_HOME": str(home),
        "HF_TOKEN": WRITE_TOKEN,
    } | more
