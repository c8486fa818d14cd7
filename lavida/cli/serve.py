"""`lavida serve`: models behind OpenAI's interface, and a page.

lavida serve
lavida serve --model my-model --beside lavida-mini --port 8080
LAVIDA_API_KEYS=secret lavida serve --host 0.0.0.0
"""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from lavida.cli import options as o
from lavida.errors import RequestError

if TYPE_CHECKING:
    from lavida.api import Model

KEYS = "LAVIDA_API_KEYS"
_NEEDED = ("fastapi", "uvicorn", "pydantic", "prometheus_client")

SERVER, QUEUE = "Server", "Queue"
Beside = Annotated[str | None, o.option("A second model, to compare with.", group=o.MODEL)]
Host = Annotated[str, o.option("Address to listen at; 0.0.0.0 is reached from other machines.", group=SERVER)]
Port = Annotated[int, o.option("Port to listen at; 0 takes a free one.", group=SERVER)]
Key = Annotated[
    list[str] | None,
    o.option(f"A key that requests must hold; repeat it, or set {KEYS}=a,b.", "--api-key", group=SERVER),
]
Origin = Annotated[
    list[str] | None, o.option("A web site whose pages may call: https://example.org; repeat it.", group=SERVER)
]
AllowHost = Annotated[
    list[str] | None, o.option("A name that the server is called by; repeat it.", "--allow-host", group=SERVER)
]
Remote = Annotated[bool, o.option("Fetch pictures by their http addresses.", "--remote-images", group=SERVER)]
NoPage = Annotated[bool, o.option("Serve the API without the page.", "--no-page", group=SERVER)]
Active = Annotated[int, o.option("Answers that are written side by side.", group=QUEUE)]
Waiting = Annotated[int, o.option("Answers that may wait; one more is refused with 429.", group=QUEUE)]
Memory = Annotated[float, o.option("GB for keys and values of the answers on their way.", group=QUEUE)]
Timeout = Annotated[float, o.option("Seconds after which an answer is given up.", group=QUEUE)]
Drain = Annotated[float, o.option("Seconds to finish in after a signal to stop.", group=QUEUE)]


@o.command(o.LOADING)
def serve(
    beside: Beside = None,
    host: Host = "127.0.0.1",
    port: Port = 8000,
    api_key: Key = None,
    origin: Origin = None,
    allow_host: AllowHost = None,
    remote_images: Remote = False,
    no_page: NoPage = False,
    active: Active = 32,
    waiting: Waiting = 64,
    memory: Memory = 4.0,
    timeout: Timeout = 120.0,
    drain: Drain = 60.0,
    **options: Any,
) -> int:
    """Serve models over HTTP: OpenAI's chat completions, more routes of our own, and a page."""
    missing = [name for name in _NEEDED if find_spec(name) is None]
    if missing:
        raise RequestError(f"the server needs lavida[serve] ({missing[0]} is missing); pip install 'lavida[serve]'")
    from lavida.serve.run import address_of, listen
    from lavida.serve.run import serve as run
    from lavida.serve.security import is_loopback
    from lavida.serve.settings import Settings

    keys = (*(api_key or ()), *filter(None, (key.strip() for key in os.environ.get(KEYS, "").split(","))))
    settings = Settings(
        host=host,
        port=port,
        api_keys=keys,
        origins=tuple(origin or ()),
        hosts=tuple(allow_host or ()),
        remote_images=remote_images,
        page=not no_page,
        active=active,
        waiting=waiting,
        memory=int(memory * 1e9),
        timeout=timeout,
        drain=drain,
    )
    with listen(host, port) as sock:
        models = load_models([options["model"], *([beside] if beside else [])], options)
        address = address_of(sock)

        def started() -> None:
            print(f"{' and '.join(models)} at {address}, for OpenAI's clients at {address}v1", flush=True)
            if not keys and not is_loopback(host):
                print("lavida: other machines may ask without a key; set --api-key to require one", file=sys.stderr)

        return run(models, settings, sock, started=started)


def load_models(names: list[str], options: Mapping[str, Any]) -> dict[str, Model]:
    """Load models by the names that requests call them: the last part of a path, so that no path is told."""
    models: dict[str, Model] = {}
    for name in names:
        model = o.load_model({**options, "model": name})
        called = Path(name).expanduser().resolve().name if Path(name).expanduser().exists() else name
        while called in models:
            called += "-2"
        model.rename(called)
        models[called] = model
    return models
