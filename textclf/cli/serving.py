"""`textclf serve`: options of the command, and what it prints while it runs."""

import os
import sys
from importlib.util import find_spec
from pathlib import Path

import click

from textclf.cli.console import print_stderr
from textclf.cli.options import PATH, Number, parse_size, selected_run
from textclf.errors import UserError

TOKEN = "TEXTCLF_TOKEN"

NEEDED = {"starlette": "starlette>=1.10", "uvicorn": "uvicorn>=0.54", "h11": "h11>=0.16"}


@click.command()
@click.option("--run", "runs", multiple=True, type=PATH, help="A run or a model/ folder [default: the newest run].")
@click.option("--port", type=click.IntRange(0, 65535), default=8000, show_default=True, help="0 is any that is free.")
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen on; 0.0.0.0 is all.")
@click.option("--no-token", is_flag=True, help="Serve to other machines without a token.")
@click.option("--allow-host", multiple=True, metavar="NAME", help="A further name of this server, such as a proxy's.")
@click.option("--allow-origin", multiple=True, metavar="URL", help="A site whose scripts may read the answers (CORS).")
@click.option(
    "--max-body", default="4MB", show_default=True, metavar="SIZE", callback=parse_size,
    help="Largest body of a request.",
)  # fmt: skip
@click.option("--max-texts", type=click.IntRange(1), default=1000, show_default=True, help="Most texts of a request.")
@click.option(
    "--max-characters", type=click.IntRange(1), default=100_000, show_default=True, help="Most characters of a text."
)
@click.option(
    "--max-requests", type=click.IntRange(1, 10_000), default=64, show_default=True,
    help="Most requests at the same time.",
)  # fmt: skip
@click.option(
    "--timeout", type=Number(0, 3600, min_open=True), default=15, show_default=True,
    help="Seconds for a request to arrive.",
)  # fmt: skip
def serve(
    runs: tuple[Path, ...], port: int, host: str, no_token: bool, allow_host: tuple[str, ...],
    allow_origin: tuple[str, ...], max_body: int, max_texts: int, max_characters: int, max_requests: int,
    timeout: float,
) -> None:  # fmt: skip
    """Serve runs over HTTP, with a page to try them at /.

    POST /predict takes {"texts": [...]}, with "explain": true for the words' weights; ?model=NAME chooses one of
    several runs. /openapi.json describes all routes. A run that is trained anew is loaded while the old one serves;
    SIGHUP loads all. SIGTERM and Ctrl-C answer what is under way, and end within 10 seconds.

    With the environment variable TEXTCLF_TOKEN, requests need "Authorization: Bearer TOKEN"; a browser asks for it as
    a password, with any name.
    """
    missing = [requirement for module, requirement in NEEDED.items() if find_spec(module) is None]
    if missing:
        packages = " ".join(f"'{requirement}'" for requirement in NEEDED.values())
        raise UserError(f"textclf serve needs further packages: pip install {packages}.")
    from textclf.serving.bodies import Limits
    from textclf.serving.counters import Counters
    from textclf.serving.guard import Settings
    from textclf.serving.models import Models
    from textclf.serving.server import check_host_name, check_origin, check_token, is_loopback, open_socket, url_of
    from textclf.serving.server import serve as serve_models

    token = check_token(os.environ.get(TOKEN))
    local = is_loopback(host)
    if not local and token is None and not no_token:
        raise UserError(
            f"--host {host} serves to other machines, and without a token anyone there may use the model. Set {TOKEN} "
            "in the environment, or say --no-token."
        )
    hosts = [check_host_name(name) for name in allow_host]
    if local:  # a page of another site could name this machine, and read its answers (DNS rebinding)
        hosts = ["localhost", "127.0.0.1", "::1", host.lower(), *hosts]
    settings = Settings(
        limits=Limits(
            body=max_body, texts=max_texts, characters=max_characters, at_once=max_requests, seconds=timeout
        ),
        token=token,
        hosts=[*dict.fromkeys(hosts)],
        origins=[check_origin(origin) for origin in allow_origin],
    )  # fmt: skip
    counters = Counters()
    selected = [selected_run(run) for run in runs or [None]]
    models = Models(selected, reloaded=counters.count_reload)
    opened = open_socket(host, port)
    line = f"serving {', '.join(models.names)} on {url_of(opened)} (Ctrl-C stops)"
    done = serve_models(models, settings, counters, opened, started=lambda _server: print_stderr(line))
    print_stderr("stopped" if done else "stopped; an answer took too long and is lost")
    if not done:
        sys.stderr.flush()
        os._exit(0)  # Python would wait for the thread
