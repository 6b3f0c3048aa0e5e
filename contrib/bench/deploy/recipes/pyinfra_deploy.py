"""The operations that pyinfra performs: bring the archive, or sync by rsync, then the command of the node."""

import json
import os
from pathlib import Path

from pyinfra import host
from pyinfra.operations import files, server

job = json.loads(Path(os.environ["BENCH_JOB"]).read_text())

if job["send"]:
    files.put(name="upload", src=job["send"], dest=f"{host.data.root}/{job['archive']}")
if "sync" in job:
    files.rsync(name="sync", src=job["sync"], dest=job["goals"][host.name], flags=job["flags"][host.name])
server.shell(name="switch", commands=[job["commands"][host.name]])
