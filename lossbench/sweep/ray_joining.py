"""How a command joins a Ray cluster that runs already, and what to do where it cannot."""

from __future__ import annotations

import logging
import os
import re
import signal
import socket
import subprocess
import sys
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from lossbench.contract import UserError
from lossbench.sweep.machines import Machine
from lossbench.sweep.progress import count_of

REACH_SECONDS = 5.0  # until a machine answers that there is one
RUN_SECONDS, DOCTOR_SECONDS = 20.0, 8.0  # until Ray answers there, on a busy machine too
SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
KEYS = {"CPU": "cpus", "GPU": "gpus"}
ASK = """
import os, sys
from ray._raylet import GcsClient
nodes = GcsClient(address=sys.argv[1]).get_all_node_info(timeout=5).values()
print("here" if any(os.path.exists(node.raylet_socket_name) for node in nodes) else "elsewhere")
"""


def joined(address: str, patience: float = RUN_SECONDS) -> Any:
    """Ray, connected to a cluster; UserError where it is not installed or none can be joined."""
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    os.environ.setdefault("RAY_IGNORE_UNHANDLED_ERRORS", "1")  # of tasks that are cancelled
    handlers = [(number, signal.getsignal(number)) for number in SIGNALS]
    try:
        import ray

        if not ray.is_initialized():
            _join(ray, address, patience)
    except ImportError as error:
        raise UserError("launcher=ray needs Ray: pip install 'lossbench[ray]'") from error
    finally:
        for number, handler in handlers:
            signal.signal(number, handler)
    return ray


def nodes(ray: Any) -> list[Machine]:
    """The machines of the cluster that answer."""
    alive = [node for node in ray.nodes() if node["Alive"]]
    return [
        Machine(
            node["NodeManagerHostname"],
            {key: node["Resources"].get(name, 0) for name, key in KEYS.items()},
        )
        for node in alive
    ]


def state() -> str:
    """Whether Ray is installed and what its cluster has, in words."""
    if not find_spec("ray"):
        return "not installed; pip install 'lossbench[ray]'"
    try:
        ray = joined("auto", DOCTOR_SECONDS)
    except UserError as error:
        return f"{version('ray')}, {_first_line(error)}"
    there = nodes(ray)
    has = [f"{sum(node.has[key] for node in there):g} {name}" for name, key in KEYS.items()]
    ray.shutdown()
    count = count_of(len(there), "node")
    return f"{version('ray')}, a cluster of {count} with {' and '.join(has)}"


def _first_line(error: UserError) -> str:
    return str(error).partition("\n")[0].partition(": ")[2].removesuffix(".")


def _join(ray: Any, address: str, patience: float) -> None:
    there, named = _named(address)
    _refuse_unready(there, named, patience)
    try:
        ray.init(address=there, log_to_driver=False, logging_level=logging.ERROR)
    except (OSError, ValueError, RuntimeError, ray.exceptions.RayError) as error:
        reason = " ".join(str(error).split())[:200]
        raise UserError(
            f"{named}: the Ray cluster at {there} cannot be joined from here ({reason}).\n"
            f"Run this on one of its nodes (ray start --address={there}), with the same Ray and "
            "Python; or launcher=local."
        ) from error


def _named(address: str) -> tuple[str, str]:
    """HOST:PORT of a cluster, and what of the command says so.

    What looks for a cluster of this machine has no public name in Ray.
    """
    named = f"launcher.address={address}"
    if address == "auto":
        from ray._private.services import get_ray_address_from_environment

        try:
            address = str(get_ray_address_from_environment(address, None))
        except ConnectionError as error:
            raise UserError(
                f"{named}: no Ray cluster runs on this machine.\n"
                "Start one (ray start --head) or join one (ray start --address=HOST:PORT) here; or "
                "launcher=local."
            ) from error
        named += f" (RAY_ADDRESS={address})" if os.environ.get("RAY_ADDRESS") else ""
    if not re.fullmatch(r"[^\s/]+:\d+", address):
        raise UserError(f"{named}: expected auto, or HOST:PORT as `ray start --head` says it.")
    return address, named


def _refuse_unready(address: str, named: str, patience: float) -> None:
    """UserError where nothing answers, or not to this command's token, or only other machines.

    Ray itself would try for minutes, say so again and again, and end the process that it runs in
    with a list of C++ calls: thus a process of its own asks.
    """
    host, _, port = address.rpartition(":")
    words = [sys.executable, "-c", ASK, address]
    try:
        socket.create_connection((host.strip("[]"), int(port)), REACH_SECONDS).close()
        asked = subprocess.run(words, capture_output=True, text=True, timeout=patience, check=False)
    except (OSError, OverflowError, subprocess.TimeoutExpired) as error:
        why = "it is silent" if isinstance(error, subprocess.TimeoutExpired) else error
        raise UserError(
            f"{named}: no Ray cluster answers at {address} ({why}).\n"
            "Does its head run, and is this what `ray start --head` said? Or launcher=local."
        ) from error
    if re.search("auth.?token", asked.stderr, re.IGNORECASE):
        raise UserError(
            f"{named}: the Ray cluster at {address} does not let this command in: {_token()}.\n"
            "Set what its nodes have: export RAY_AUTH_MODE=token RAY_AUTH_TOKEN_PATH=FILE"
        )
    if "elsewhere" in asked.stdout:
        raise UserError(
            f"{named}: this machine is no node of the Ray cluster at {address}.\n"
            f"Make it one (ray start --address={address}; with --num-cpus=0 it trains nothing), or "
            "run this on one that is."
        )


def _token() -> str:
    """What is wrong with the token that this command has."""
    if os.environ.get("RAY_AUTH_MODE", "").lower() != "token":
        return "RAY_AUTH_MODE=token is not set, so that it shows no token"
    if os.environ.get("RAY_AUTH_TOKEN"):
        return "the token in RAY_AUTH_TOKEN is another"
    path = os.environ.get("RAY_AUTH_TOKEN_PATH")
    named = f"RAY_AUTH_TOKEN_PATH={path}" if path else "~/.ray/auth_token"
    try:
        held = Path(path or "~/.ray/auth_token").expanduser().read_text().strip()
    except OSError as error:
        unset = "" if path else "RAY_AUTH_TOKEN_PATH is not set, and "
        return f"{unset}{named} cannot be read ({error.strerror})"
    return f"the token in {named} is another" if held else f"{named} is empty"
