"""Small file systems that a test may fill and break, in whatever way this machine allows.

`open_disk` tries, in this order: ext4 on a loop device (a real file system on a block device that can be made to fail),
a tmpfs that is mounted, and a tmpfs in a user's own mount namespace, which needs no privilege on most machines and is
reached from outside through /proc. `Unavailable` says why none of them is possible. Nothing outlives `close`.
"""

import ctypes
import fcntl
import os
import shutil
import struct
import subprocess
import tempfile
import time

KINDS = ("loop", "tmpfs", "namespace")
BLOCK = 4096
PATIENCE = 20.0
# linux/loop.h
LOOP_SET_STATUS64, LOOP_GET_STATUS64, LOOP_SET_CAPACITY = 0x4C04, 0x4C05, 0x4C07
LOOP_INFO = struct.Struct("=QQQQQIIII64s64s32s2Q")
LOOP_SIZELIMIT = 4  # the field's place
MNT_DETACH = 2


class Unavailable(Exception):
    pass


def command(*words, **options):
    done = subprocess.run(words, capture_output=True, text=True, timeout=60, check=False, **options)
    if done.returncode != 0:
        raise Unavailable(f"{' '.join(words)}: {(done.stderr or done.stdout).strip()}")
    return done.stdout.strip()


class SmallDisk:
    """A file system of its own at `path`. `can_break`: its device can be made to fail."""

    can_break = False

    def __init__(self, size):
        self.size = size
        self.folder = tempfile.mkdtemp(prefix="bop-small-disk-")
        self.point = os.path.join(self.folder, "mounted")
        self.path = self.point
        os.mkdir(self.point)
        try:
            self.make()
            self.mount()
        except (Unavailable, OSError, subprocess.TimeoutExpired) as why:
            self.close()
            raise Unavailable(str(why)) from None

    def make(self):
        pass

    def mount(self):
        raise NotImplementedError

    def unmount(self):
        if os.path.ismount(self.point):
            libc = ctypes.CDLL(None, use_errno=True)
            libc.umount2(self.point.encode(), MNT_DETACH)

    def close(self):
        self.unmount()
        shutil.rmtree(self.folder, ignore_errors=True)

    def free_bytes(self):
        about = os.statvfs(self.path)
        return about.f_bavail * about.f_frsize

    def fill(self, name="filler"):
        """Takes every free block, as somebody else's file."""
        path = os.path.join(self.path, name)
        if self.free_bytes() < BLOCK and os.path.exists(path):
            return path
        deadline = time.monotonic() + PATIENCE
        with open(path, "ab", buffering=0) as file:
            step = 1 << 20
            while step >= BLOCK and time.monotonic() < deadline:
                at = os.fstat(file.fileno()).st_size
                try:
                    if file.write(b"\xee" * step) < step:
                        raise OSError
                    os.fsync(file.fileno())
                except OSError:
                    # What a short write has taken stays taken, in whole blocks.
                    whole = max(at, os.fstat(file.fileno()).st_size // BLOCK * BLOCK)
                    os.ftruncate(file.fileno(), whole)
                    step //= 2
        return path


class LoopDisk(SmallDisk):
    """ext4 in a file."""

    kind = "loop"
    can_break = True
    device = None

    def make(self):
        self.image = os.path.join(self.folder, "image")
        with open(self.image, "wb") as file:
            file.truncate(self.size)
        command("mkfs.ext4", "-q", "-F", "-m", "0", "-E", "lazy_itable_init=0", self.image)

    def mount(self):
        self.device = command("losetup", "--find", "--show", self.image)
        command("mount", "-t", "ext4", self.device, self.point)

    def unmount(self):
        super().unmount()
        if self.device is not None:
            subprocess.run(["losetup", "--detach", self.device], capture_output=True, timeout=60, check=False)
            self.device = None

    def limit(self, size):
        """The device ends at `size` from now on; 0: at the end of its file."""
        with open(self.device, "rb") as device:
            info = bytearray(LOOP_INFO.size)
            fcntl.ioctl(device, LOOP_GET_STATUS64, info)
            fields = list(LOOP_INFO.unpack(info))
            fields[LOOP_SIZELIMIT] = size
            fcntl.ioctl(device, LOOP_SET_STATUS64, LOOP_INFO.pack(*fields))
            fcntl.ioctl(device, LOOP_SET_CAPACITY, 0)

    def break_device(self):
        """Every write, every sync and every read that the kernel has not cached fails with EIO from now on."""
        self.limit(1 << 20)

    def repair_device(self):
        """As after a change of the cable: what is on the device is there, the file system is mounted anew."""
        self.unmount()
        subprocess.run(["e2fsck", "-p", self.image], capture_output=True, timeout=60, check=False)
        self.mount()


class TmpfsDisk(SmallDisk):
    kind = "tmpfs"

    def mount(self):
        command("mount", "-t", "tmpfs", "-o", f"size={self.size}", "bop-small-disk", self.point)


class NamespaceDisk(SmallDisk):
    """A tmpfs in the mount namespace of a process that waits for its standard input to be closed."""

    kind = "namespace"
    keeper = None

    def mount(self):
        script = f'mount -t tmpfs -o size={self.size} bop-small-disk "{self.point}" && echo ready && exec cat'
        self.keeper = subprocess.Popen(["unshare", "--user", "--map-root-user", "--mount", "sh", "-c", script],
                                       stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        if self.keeper.stdout.readline().strip() != "ready":
            raise Unavailable("unshare: " + self.keeper.communicate(timeout=10)[1].strip())
        self.path = f"/proc/{self.keeper.pid}/root{self.point}"

    def unmount(self):
        if self.keeper is None:
            return
        self.keeper.stdin.close()
        self.keeper.wait(20)
        self.keeper.stdout.close()
        self.keeper.stderr.close()
        self.keeper = None


def open_disk(size, kinds=KINDS):
    """The first of these kinds that this machine allows."""
    reasons = []
    for kind in kinds:
        made = {"loop": LoopDisk, "tmpfs": TmpfsDisk, "namespace": NamespaceDisk}[kind]
        try:
            return made(size)
        except Unavailable as why:
            reasons.append(f"{kind}: {why}")
    raise Unavailable("; ".join(reasons))
