"""The sandbox server as a process: ``python -m dvid_sandbox.server --port 8000 --folder DIR``."""

from __future__ import annotations

import asyncio
import os
import socket
from pathlib import Path

import click
import uvicorn

from dvid_sandbox.about import Configuration
from dvid_sandbox.app import App
from dvid_sandbox.instance import Settings

# What it prints, followed by its URL, when it takes requests.
READY = "ready"


def listening(host: str, port: int) -> socket.socket:
    """A socket that takes connections. asyncio sends without delay only if the protocol is named."""
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listener.bind((host, port))
    listener.listen(2048)
    return listener


async def serve(configuration: Configuration, listener: socket.socket, url: str) -> None:
    """Serves until SIGTERM or SIGINT."""
    app = App(configuration)
    server = uvicorn.Server(
        uvicorn.Config(
            app,
            log_level="warning",
            access_log=False,
            server_header=False,
            proxy_headers=False,
            lifespan="off",
            timeout_keep_alive=600,
            # Nobody waits for a client that does not read its answer to the end.
            timeout_graceful_shutdown=10,
        )
    )
    # The socket listens already: whoever reads the line can connect.
    click.echo(f"{READY} {url}")
    try:
        await server.serve([listener])
    finally:
        app.close()


@click.command()
@click.option("--port", type=int, default=0, help="TCP port; 0 takes a free one and prints it.")
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen on.")
@click.option(
    "--folder", type=click.Path(path_type=Path), required=True, help="Where the server keeps its state."
)
@click.option("--kafka", default=None, help="Brokers to publish to, HOST:PORT,…")
@click.option("--topic-prefix", default="", help="What topic names begin with.")
@click.option("--admin-token-env", default=None, help="Environment variable that holds the admin token.")
@click.option("--token-env", default=None, help="Environment variable with the token that repos ask for.")
@click.option("--min-mutation-id", type=int, default=0, help="Mutation ids start here or above.")
@click.option("--split-endpoint/--no-split-endpoint", default=False, help="Allow the labelmap's POST split.")
@click.option("--mutation-list/--no-mutation-list", default=True, help="Keep what GET mutations answers.")
def main(
    port: int,
    host: str,
    folder: Path,
    kafka: str | None,
    topic_prefix: str,
    admin_token_env: str | None,
    token_env: str | None,
    min_mutation_id: int,
    split_endpoint: bool,
    mutation_list: bool,
) -> None:
    """A server that behaves like DVID, for demonstrations and tests."""
    with listening(host, port) as listener:
        address = f"{host}:{listener.getsockname()[1]}"
        configuration = Configuration(
            folder=folder,
            kafka=kafka,
            topic_prefix=topic_prefix,
            admin_token=os.environ.get(admin_token_env) if admin_token_env else None,
            token=os.environ.get(token_env) if token_env else None,
            minimum_mutation_id=min_mutation_id,
            settings=Settings(mutation_list, split_endpoint),
            address=address,
        )
        asyncio.run(serve(configuration, listener, f"http://{address}"))


if __name__ == "__main__":
    main()
