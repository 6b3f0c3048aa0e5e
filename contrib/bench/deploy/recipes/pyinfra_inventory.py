"""The inventory that pyinfra reads: the nodes of the job in BENCH_JOB."""

import json
import os
from pathlib import Path

_job = json.loads(Path(os.environ["BENCH_JOB"]).read_text())

nodes = [
    (
        host["name"],
        {
            "ssh_config_file": _job["config"],
            "ssh_known_hosts_file": _job["known_hosts"],
            "ssh_user": _job["user"],
            "ssh_key": _job["key"],
            "root": host["root"],
        },
    )
    for host in _job["hosts"]
]
