"""Runs a test program with a real S3 server beside it.

usage: with_s3.py --versitygw FILE [--required] -- PROGRAM [ARGUMENT...]

Starts versitygw on a free port over a folder of its own, with one bucket, and runs the program with BOP_S3_URL and
credentials in its environment. Without the server the exit code is 77, a skip; with --required it is 1.
"""

import argparse
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time

SKIPPED = 77
START_SECONDS = 30


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def keeps_attributes(folder):
    """versitygw keeps what belongs to an object in extended attributes of its file."""
    try:
        os.setxattr(folder, "user.bop-test", b"1")
        return True
    except OSError:
        return False


def wait_until_it_listens(server, port, log):
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline:
        if server.poll() is not None:
            break
        try:
            socket.create_connection(("127.0.0.1", port), 1).close()
            return
        except OSError:
            time.sleep(0.05)
    with open(log, encoding="utf-8", errors="replace") as text:
        raise SystemExit(f"versitygw does not listen:\n{text.read()[-2000:]}")


def run(options, folder):
    bucket = os.path.join(folder, "root", "bop-test")
    os.makedirs(bucket)
    port = free_port()
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("AWS_", "VGW_"))}
    keys = {"AWS_ACCESS_KEY_ID": "boptest", "AWS_SECRET_ACCESS_KEY": "boptestsecret", "AWS_REGION": "us-east-1"}
    log = os.path.join(folder, "log")
    with open(log, "wb") as output:
        server = subprocess.Popen(
            [options.versitygw, "--port", f"127.0.0.1:{port}", "--access", keys["AWS_ACCESS_KEY_ID"],
             "--secret", keys["AWS_SECRET_ACCESS_KEY"], "--region", keys["AWS_REGION"], "--quiet", "--keep-alive",
             "posix", os.path.join(folder, "root")],
            stdout=output, stderr=output, env=environment)
    try:
        wait_until_it_listens(server, port, log)
        url = f"s3://bop-test/prefix?endpoint=http://127.0.0.1:{port}&allow_http=true&path_style=true"
        return subprocess.run(options.program, env={**environment, **keys, "BOP_S3_URL": url}, check=False).returncode
    finally:
        server.terminate()
        try:
            server.wait(10)
        except subprocess.TimeoutExpired:
            server.kill()
            server.wait()


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--versitygw", required=True, help="the server's program")
    parser.add_argument("--required", action="store_true", help="a missing server is a failure")
    parser.add_argument("program", nargs="+")
    options = parser.parse_args()
    missing = 1 if options.required else SKIPPED
    if not os.access(options.versitygw, os.X_OK):
        print(f"skipped: there is no {options.versitygw}; scripts/setup builds it where Go 1.25 is")
        return missing
    folder = tempfile.mkdtemp(prefix="bop-s3-")
    try:
        if not keeps_attributes(folder):
            print(f"skipped: {folder} is on a file system without extended attributes; TMPDIR may name another")
            return missing
        return run(options, folder)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    sys.exit(main())
