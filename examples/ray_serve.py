"""The server of `lavida serve` on Ray Serve: replicas with a model each, as many as the requests need.

pip install 'lavida[ray]'
python examples/ray_serve.py --replicas 1-2                                  # a cluster of this machine alone
python examples/ray_serve.py --address auto --model FOLDER --replicas 2-8 --gpus 1 --host 0.0.0.0

Then any client of OpenAI at http://127.0.0.1:8000/v1. Keys are read from LAVIDA_API_KEYS, as `lavida serve` does.
"""

import argparse
import os

os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
options.add_argument("--address", default="local", help="of a cluster; local starts one")
options.add_argument("--model", default="lavida-mini")
options.add_argument("--replicas", default="1-4", help="the least and the most")
options.add_argument("--cpus", type=float, default=1, help="of each replica; may be a fraction")
options.add_argument("--gpus", type=float, default=0, help="of each replica")
options.add_argument("--host", default="127.0.0.1")
options.add_argument("--port", type=int, default=8000)
args = options.parse_args()
if args.address == "local":
    os.environ.setdefault("RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER", "0")  # all of Ray listens on 127.0.0.1 alone, as there
    os.environ.setdefault("RAY_worker_niceness", "0")  # replicas are as urgent as other programs

import ray
from ray import serve
from ray.serve.config import AutoscalingConfig

from lavida.serve.settings import Settings

keys = tuple(filter(None, os.environ.get("LAVIDA_API_KEYS", "").split(",")))
settings = Settings(host=args.host, port=args.port, api_keys=keys)
model, device = args.model, "cuda" if args.gpus else "cpu"


def create():
    """Return the application of a replica, with a model of its own."""
    from grpc.aio._server import Server

    import lavida
    from lavida.serve.app import create_app
    from lavida.serve.service import Service

    # A replica has a server that unpickles what comes, and Ray Serve 2.60 binds it to all interfaces: to its own alone.
    plain, own = Server.add_insecure_port, ray.util.get_node_ip_address()
    Server.add_insecure_port = lambda self, address: plain(self, address.replace("[::]", own))
    name = model.rstrip("/").rpartition("/")[2]  # no path is told to clients
    return create_app(Service({name: lavida.load(model, device=device, threads="auto")}, settings), settings)


least, _, most = args.replicas.partition("-")
deployment = serve.deployment(
    serve.ingress(create)(),
    name="lavida",
    ray_actor_options={"num_cpus": args.cpus, "num_gpus": args.gpus},
    autoscaling_config=AutoscalingConfig(
        min_replicas=int(least),
        max_replicas=int(most or least),
        target_ongoing_requests=settings.active // 2,  # so that the engine of a replica is busy, and its queue is not
    ),
    max_ongoing_requests=settings.active + settings.waiting,  # more are refused by the replica itself, with 429
)

if __name__ == "__main__":
    alone = {"include_dashboard": False} if args.address == "local" else {}
    ray.init(address=args.address, **alone)
    serve.start(http_options={"host": args.host, "port": args.port})
    serve.run(deployment.bind(), name="lavida", route_prefix="/", blocking=True)
