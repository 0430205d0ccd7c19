"""The log as a library, from outside: installed into an empty folder, found by CMake, used by the example program, which
is killed in the midst of its work and finds everything that it was told is durable.

usage: test_install.py <top of the tree> <build folder>
"""

import pathlib
import re
import signal
import subprocess
import sys
import tempfile
import unittest

TOP, BUILD = (pathlib.Path(argument) for argument in sys.argv[1:3])


def call(*command, expected=0):
    done = subprocess.run([str(word) for word in command], capture_output=True, text=True, timeout=240, check=False)
    if done.returncode != expected:
        raise AssertionError(f"{command}: {done.returncode}\n{done.stdout[-3000:]}{done.stderr[-3000:]}")
    return done.stdout


class Install(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.folder = tempfile.TemporaryDirectory(prefix="bop-install-")
        cls.addClassCleanup(cls.folder.cleanup)
        cls.top = pathlib.Path(cls.folder.name)
        prefix = cls.top / "prefix"
        call("cmake", "--install", BUILD, "--component", "aof", "--prefix", prefix)
        call("cmake", "-G", "Ninja", "-S", TOP / "examples" / "aof", "-B", cls.top / "build", f"-DCMAKE_PREFIX_PATH={prefix}",
             "-DCMAKE_CXX_FLAGS=-Wall -Wextra -Werror")
        call("cmake", "--build", cls.top / "build")
        cls.prefix = prefix
        cls.events = cls.top / "build" / "events"

    def test_public_headers_include_nothing_of_the_inside(self):
        for header in (self.prefix / "include").rglob("*"):
            if header.is_file():
                self.assertNotRegex(header.read_text(encoding="utf-8"), r'(?m)^\s*#\s*include\s*"')

    def test_what_was_acknowledged_survives_a_kill(self):
        log = self.top / "log"
        acknowledged = 0
        for _ in range(3):
            out = call(self.events, "run", log, 40)
            self.assertIn("followed 40\n", out)
            acknowledged = int(re.findall(r"acknowledged (\d+)", out)[-1])
            out = call(self.events, "crash", log, 30, expected=-signal.SIGKILL)
            acknowledged = max(acknowledged, int(re.findall(r"acknowledged (\d+)", out)[-1]))
            out = call(self.events, "recover", log)
            recovered = int(re.search(r"recovered (\d+)", out)[1])
            self.assertGreaterEqual(recovered, acknowledged)
            self.assertIn(f"event {recovered} is stored once", out)
        self.assertGreaterEqual(acknowledged, 3 * 70)


if __name__ == "__main__":
    unittest.main(argv=sys.argv[:1])
