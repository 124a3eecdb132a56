"""Remotes for tests: a folder, and a bucket on an S3 server of our own."""

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from tests.conftest import Checkout

KEY, SECRET = "key-of-the-tests", "secret-of-the-tests"


@dataclass(frozen=True)
class Place:
    """Where a remote is, and what DVC has to know of it besides."""

    url: str
    settings: dict[str, str] = field(default_factory=dict)

    def add(self, checkout: Checkout, name: str = "team") -> None:
        """Tell a checkout of it: the address for git, what is secret for this copy alone."""
        checkout.dvc("remote", "add", "--quiet", "--default", name, self.url)
        for key, value in self.settings.items():
            checkout.dvc("remote", "modify", "--quiet", "--local", name, key, value)


def share(checkout: Checkout, push: bool = True) -> None:
    """Name the remote in params.yaml."""
    checkout.replace("params.yaml", "remote: null", "remote: team")
    if push:
        checkout.replace("params.yaml", "push: false", "push: true")


@contextlib.contextmanager
def bucket_server() -> Iterator[Place]:
    """A bucket with a folder in it, on a server that lives as long as the block."""
    import boto3
    from moto.server import ThreadedMotoServer

    server = ThreadedMotoServer("127.0.0.1", 0, verbose=False)
    server.start()
    try:
        host, port = server.get_host_and_port()
        address = f"http://{host}:{port}"
        client = boto3.client(
            "s3",
            endpoint_url=address,
            region_name="us-east-1",
            aws_access_key_id=KEY,
            aws_secret_access_key=SECRET,
        )
        client.create_bucket(Bucket="runs")
        settings = {
            "endpointurl": address,
            "region": "us-east-1",
            "access_key_id": KEY,
            "secret_access_key": SECRET,
        }
        yield Place("s3://runs/fettle", settings)
    finally:
        server.stop()


def folder(path: Path) -> Place:
    """A remote in a folder."""
    path.mkdir()
    return Place(str(path))
