"""Fabric's part of the bench: a job a line on standard input, `ok` or what went wrong on standard output.

Run by the Python of the peers' environment; it keeps its connections until standard input ends.
"""

import json
import sys
from concurrent.futures import ThreadPoolExecutor

from fabric import Config, Connection

connections: dict[str, Connection] = {}


def connection(job: dict, host: dict) -> Connection:
    if host["name"] not in connections:
        settings = Config(overrides={"load_ssh_configs": False})
        keys = {"key_filename": job["key"], "allow_agent": False, "look_for_keys": False}
        connections[host["name"]] = Connection(
            host["host"], user=job["user"], port=host["port"], config=settings, connect_kwargs=keys
        )
    return connections[host["name"]]


def work(job: dict, host: dict) -> None:
    node = connection(job, host)
    if job["send"]:
        node.put(job["send"], f"{host['root']}/{job['archive']}")
    node.run(job["commands"][host["name"]], hide=True, in_stream=False)


def main() -> None:
    with ThreadPoolExecutor(64) as pool:
        for line in sys.stdin:
            job = json.loads(line)
            try:
                list(pool.map(lambda host, job=job: work(job, host), job["hosts"]))
                answer = "ok"
            except Exception as error:  # noqa: BLE001  # whatever it is, the bench is told
                answer = f"{type(error).__name__}: {error}".replace("\n", " ")
            print(answer, flush=True)
    for node in connections.values():
        node.close()


if __name__ == "__main__":
    main()
