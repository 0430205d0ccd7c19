"""A node whose system calls fail or stall when a test says so: the real program, with disk_faults.c before the C library."""

import errno
import os
import shutil
import subprocess

SOURCE = os.path.join(os.path.dirname(os.path.abspath(__file__)), "disk_faults.c")
EIO = errno.EIO
ENOSPC = errno.ENOSPC


class DiskFaults:
    """Built in `folder`. Rules hold from when they are set, for every process started with `prefix`."""

    def __init__(self, folder):
        compiler = shutil.which("cc") or shutil.which("gcc")
        if compiler is None:
            raise RuntimeError("there is no C compiler to build disk_faults.c with")
        self.library = os.path.join(folder, "disk_faults.so")
        self.rules = os.path.join(folder, "rules")
        subprocess.run([compiler, "-O1", "-Wall", "-Werror", "-shared", "-fPIC", "-o", self.library, SOURCE, "-ldl"],
                       check=True, timeout=60)
        self.set()

    @property
    def prefix(self):
        return ("env", f"LD_PRELOAD={self.library}", f"DISK_FAULTS_RULES={self.rules}")

    def set(self, *rules):
        """Each (call, part of the path, error number or "stall"); no rule: everything works."""
        with open(self.rules + ".new", "w", encoding="utf-8") as file:
            file.writelines(f"{call} {part} {what}\n" for call, part, what in rules)
        os.replace(self.rules + ".new", self.rules)
