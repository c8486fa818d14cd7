"""A server under load: 32 clients at once, against one at a time, and against a server that answers one by one.

python -m benchmarks.serving
python -m benchmarks.serving --minutes 30        # and resident memory under half an hour of mixed load

The benchmark starts its servers on free ports of loopback and ends them. Each client has a picture of its own and asks
ten questions, one after the other. "One by one" is the same server with one place on its engine, as `transformers
serve` answers; the others wait. An answer is lost if it is neither there nor refused with 429.
"""

from __future__ import annotations

import base64
import http.client
import io
import json
import os
import random
import re
import signal
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from PIL import Image

from benchmarks.harness import PHOTO, ROOT, environment, finish, interleave, parser
from benchmarks.report import Report, Row

QUESTIONS = (
    "What is this?",
    "What kind of thing is this?",
    "Describe the image.",
    "What colour is it?",
    "Is there an animal?",
    "Where was this taken?",
    "How many are there?",
    "What is in the background?",
    "Is it day or night?",
    "What is on the left?",
)
CLIENTS, ALONE = 32, 20  # clients at once, and requests of the client that is alone
LIMIT = 900.0  # seconds after which a request counts as lost; a busy machine makes the last of 32 wait long
SIDE = 448  # pixels of a picture
EVERY = 30.0  # seconds between two looks at the memory
BROKEN, REFUSED = 0.1, 0.1  # shares of the mixed load: clients that leave, requests that are wrong


@dataclass
class Tally:
    """Count what became of the requests of one arm."""

    seconds: list[float] = field(default_factory=list)
    outcomes: Counter[str] = field(default_factory=Counter)
    texts: dict[tuple[int, str], str] = field(default_factory=dict)
    rounds: int = 0

    def facts(self) -> dict[str, Any]:
        """Return the figures beside the throughput."""
        asked = self.outcomes.total()
        parts = statistics.quantiles(self.seconds, n=20) if len(self.seconds) > 1 else self.seconds * 19
        return {
            "p50": f"{parts[9]:.3g} s",
            "p95": f"{parts[18]:.3g} s",
            "asked": asked,
            "answered": self.outcomes["answered"],
            "429": self.outcomes["busy"],
            "lost": asked - self.outcomes["answered"] - self.outcomes["busy"],
        }


class Served:
    """A server and its process."""

    def __init__(self, process: subprocess.Popen[str], port: int) -> None:
        self.process, self.port = process, port

    def post(self, body: bytes) -> tuple[int, bytes]:
        """Send a chat and return status and answer."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=LIMIT)
        try:
            connection.request("POST", "/v1/chat/completions", body, {"Content-Type": "application/json"})
            answer = connection.getresponse()
            return answer.status, answer.read()
        finally:
            connection.close()

    def leave(self, body: bytes, seconds: float) -> None:
        """Send a chat and go away before it is answered."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=LIMIT)
        connection.request("POST", "/v1/chat/completions", body, {"Content-Type": "application/json"})
        time.sleep(seconds)
        connection.close()

    def resident(self) -> float:
        """Return the resident memory of the server and of the processes that it started, MB."""
        return sum(map(_resident, [str(self.process.pid), *self._children()]))

    def _children(self) -> list[str]:
        found: list[str] = []
        for task in Path(f"/proc/{self.process.pid}/task").iterdir():
            with suppress(OSError):  # a thread that has just ended
                found += (task / "children").read_text().split()
        return found


def _resident(process: str) -> float:
    try:
        pages = int(Path(f"/proc/{process}/statm").read_text().split()[1])
    except OSError:  # it has just ended
        return 0.0
    return pages * os.sysconf("SC_PAGE_SIZE") / 1e6


@contextmanager
def serving(
    model: str | None, active: int, threads: int | None, variables: Mapping[str, str] | None = None
) -> Iterator[Served]:
    """Run `lavida serve` with so many places on its engine; `variables` replace those of the environment."""
    options = ["--model", model] if model else []
    options += ["--threads", str(threads)] if threads else []
    options += ["--timeout", str(LIMIT)]
    log = tempfile.TemporaryFile("w+")
    process = subprocess.Popen(
        [sys.executable, "-m", "lavida.cli.main", "serve", "--port", "0", "--active", str(active), *options],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=log,
        text=True,
        env=None if variables is None else dict(variables),
    )
    assert process.stdout is not None
    try:
        found = re.search(r"http://[\d.]+:(\d+)/", process.stdout.readline())
        if found is None:
            sys.exit("the server does not start; try `lavida serve` by itself")
        yield Served(process, int(found[1]))
        if process.poll() is not None:
            log.seek(0)
            sys.exit(f"the server ended by itself with code {process.returncode}: {''.join(log.readlines()[-3:])}")
    finally:
        process.terminate()
        try:
            process.wait(30)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        log.close()


def picture(number: int) -> str:
    """Return a data address of the photo, turned and cut so that no two numbers give the same pixels."""
    image = Image.open(PHOTO).convert("RGB").resize((SIDE + 64, SIDE + 64)).rotate(number % 360)
    left, top = number % 61, (number // 61) % 61
    file = io.BytesIO()
    image.crop((left, top, left + SIDE, top + SIDE)).save(file, "JPEG", quality=85)
    return "data:image/jpeg;base64," + base64.b64encode(file.getvalue()).decode()


def chat(shown: str, question: str, **options: Any) -> bytes:
    """Return the body of a request."""
    content = [{"type": "image_url", "image_url": {"url": shown}}, {"type": "text", "text": question}]
    return json.dumps({"messages": [{"role": "user", "content": content}], **options}).encode()


def load(served: Served, tally: Tally, pictures: Sequence[str], requests: int, options: dict[str, Any]) -> float:
    """Let a client for each picture ask so many questions; return the answers in a second."""
    before = tally.outcomes["answered"]
    tally.rounds += 1
    if tally.rounds == 2:  # the first is not counted
        tally.seconds.clear()

    def client(number: int) -> None:
        for turn in range(requests):
            question = QUESTIONS[turn % len(QUESTIONS)]
            start = time.perf_counter()
            try:
                status, answer = served.post(chat(pictures[number], question, **options))
            except (OSError, http.client.HTTPException):
                status, answer = 0, b""
            taken = time.perf_counter() - start
            tally.outcomes[{200: "answered", 429: "busy"}.get(status, "lost")] += 1
            if status == 200:
                tally.seconds.append(taken)
                tally.texts[number, question] = json.loads(answer)["choices"][0]["message"]["content"]

    start = time.perf_counter()
    with ThreadPoolExecutor(len(pictures)) as pool:
        list(pool.map(client, range(len(pictures))))
    return (tally.outcomes["answered"] - before) / (time.perf_counter() - start)


def throughput(args: Any, clients: int, requests: int, options: dict[str, Any]) -> Report:
    """Compare the three ways to be served."""
    pictures = [picture(number) for number in range(clients)]
    tallies = {name: Tally() for name in ("at once", "one client", "one by one")}
    alone = min(ALONE, clients * requests)
    with serving(args.model, 32, args.threads) as many, serving(args.model, 1, args.threads) as single:
        arms = {
            "at once": partial(load, many, tallies["at once"], pictures, requests, options),
            "one client": partial(load, many, tallies["one client"], pictures[:1], alone, options),
            "one by one": partial(load, single, tallies["one by one"], pictures, requests, options),
        }
        found = interleave(arms, rounds=args.rounds, seconds=args.seconds)
    same = all(
        text == tallies["one by one"].texts.get(key, text)
        for one in tallies.values()
        for key, text in one.texts.items()
    )
    names = {
        "at once": f"{clients} clients, answered side by side",
        "one client": "one client, the same server",
        "one by one": f"{clients} clients, answered one by one",
    }
    rows = tuple(
        Row(
            series=names[name],
            x=f"{requests if name != 'one client' else alone} requests each",
            values=tuple(values),
            ratios=tuple(a / b for a, b in zip(values, found["one by one"], strict=True)),
            facts=tallies[name].facts(),
        )
        for name, values in found.items()
    )
    notes = (f"the texts of all three are {'the same' if same else 'NOT the same'}",)
    return Report(
        name="serving", title="Answers a second of a server under load", x="", y="1/s", base=names["one by one"],
        rows=rows, notes=notes,
    )  # fmt: skip


def memory(args: Any, clients: int, options: dict[str, Any]) -> Report:
    """Look at the resident memory of a server while clients ask, leave, and send what is wrong."""
    tally, stop = Tally(), time.perf_counter() + args.minutes * 60
    wrong = chat("data:image/png;base64,iVBORw0KGgo=", "What is this?")

    def client(served: Served, number: int) -> None:
        rng = random.Random(number)
        while time.perf_counter() < stop:
            body = chat(picture(rng.randrange(10**6)), rng.choice(QUESTIONS), **options)
            chance = rng.random()
            if chance < BROKEN:
                with suppress(OSError):
                    served.leave(body, rng.random())
                tally.outcomes["gone"] += 1
                continue
            try:
                status, _ = served.post(wrong if chance < BROKEN + REFUSED else body)
            except (OSError, http.client.HTTPException):
                status = 0
            tally.outcomes[str(status) if status else "lost"] += 1

    looks: list[tuple[float, float]] = []
    with serving(args.model, 32, args.threads) as served, ThreadPoolExecutor(clients) as pool:
        begin, over = time.perf_counter(), threading.Event()
        clients_ = [pool.submit(client, served, number) for number in range(clients)]
        while time.perf_counter() < stop:
            over.wait(min(EVERY, max(0.1, args.minutes * 6)))
            looks.append(((time.perf_counter() - begin) / 60, served.resident()))
        for one in clients_:
            one.result()
    tenth = max(1, len(looks) // 10)
    early = statistics.median(mb for _, mb in looks[tenth : 2 * tenth] or looks)
    late = statistics.median(mb for _, mb in looks[-tenth:])
    rows = [Row(series="server and decoder", x=round(minute, 2), values=(mb,)) for minute, mb in looks]
    done = ", ".join(f"{count} {name}" for name, count in sorted(tally.outcomes.items()))
    notes = (
        f"median of the second tenth {early:.0f} MB, of the last {late:.0f} MB ({late / early:.3f} times), most "
        f"{max(mb for _, mb in looks):.0f} MB",
        f"answers by status, and clients that left: {done}",
    )
    return Report(
        name="serving_memory", title="Resident memory of a server under load", x="minutes", y="MB", rows=tuple(rows),
        notes=notes,
    )  # fmt: skip


def main() -> None:
    options = parser(__doc__, rounds=2, seconds=300)
    options.add_argument("--minutes", type=float, default=0.0, help="look at the memory for so long, too")
    options.add_argument("--steps", type=int, help="forward passes of an answer; default: the model's own pace")
    args = options.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # which ends the servers, too
    clients, requests = (4, 2) if args.small else (CLIENTS, len(QUESTIONS))
    decode: dict[str, Any] = {"length": 16} if args.steps is None else {"length": 16, "steps": args.steps}
    env = environment()
    finish(throughput(args, clients, requests, decode), args.out, env)
    if args.minutes:
        finish(memory(args, clients, decode), args.out, env)


if __name__ == "__main__":
    main()
