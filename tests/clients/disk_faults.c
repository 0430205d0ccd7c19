// System calls that fail or stall, for a program that is started with this in LD_PRELOAD (disk_faults.py).
//
// The file named by DISK_FAULTS_RULES is read before each call that writes or syncs. One rule a line:
//
//   <call> <part of the path> <what happens>
//
// call: write (pwrite, pwritev), sync (fsync, fdatasync), room (fallocate). What happens: the number of an
// error, which the call answers without having done anything, or "stall": it waits until the rule is gone.
// The first rule that fits counts. io_uring does not come by here.
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/inotify.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

enum { kRulesBytes = 2048, kPathBytes = 1024, kMostStallSeconds = 120, kStall = -1 };

// The number of an error, kStall or 0: what the first rule that fits says.
static int rule_of(const char* call, const char* path) {
  const int rules = open(getenv("DISK_FAULTS_RULES"), O_RDONLY | O_CLOEXEC);
  if (rules < 0) return 0;
  char text[kRulesBytes];
  const ssize_t size = read(rules, text, sizeof(text) - 1);
  close(rules);
  if (size <= 0) return 0;
  text[size] = '\0';
  char* rest = NULL;
  for (char* line = strtok_r(text, "\n", &rest); line != NULL; line = strtok_r(NULL, "\n", &rest)) {
    char which[16], part[256], what[16];
    if (sscanf(line, "%15s %255s %15s", which, part, what) != 3) continue;
    if (strcmp(which, call) != 0 || strstr(path, part) == NULL) continue;
    return strcmp(what, "stall") == 0 ? kStall : atoi(what);
  }
  return 0;
}

// Waits for as long as a rule says so; answers what holds then. New rules are renamed to the file's name,
// which its folder tells who watches it.
static int rule_after_stall(const char* call, const char* path) {
  char folder[kPathBytes];
  snprintf(folder, sizeof(folder), "%s", getenv("DISK_FAULTS_RULES"));
  char* slash = strrchr(folder, '/');
  if (slash != NULL) *slash = '\0';
  struct pollfd watch = {.fd = inotify_init1(IN_CLOEXEC), .events = POLLIN};
  if (watch.fd < 0 || inotify_add_watch(watch.fd, slash == NULL ? "." : folder, IN_MOVED_TO) < 0) {
    perror("disk_faults: inotify");
    abort();
  }
  const time_t end = time(NULL) + kMostStallSeconds;
  int told = kStall;
  for (time_t now = time(NULL); now < end && (told = rule_of(call, path)) == kStall; now = time(NULL)) {
    char events[kRulesBytes];
    if (poll(&watch, 1, (int)(end - now) * 1000) > 0) (void)!read(watch.fd, events, sizeof(events));
  }
  close(watch.fd);
  return told == kStall ? 0 : told;
}

// The error that a rule has for this call; 0: none.
static int fault_of(const char* call, int fd) {
  if (getenv("DISK_FAULTS_RULES") == NULL) return 0;
  char link[64];
  char path[kPathBytes];
  snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
  const ssize_t length = readlink(link, path, sizeof(path) - 1);
  if (length < 0) return 0;
  path[length] = '\0';
  const int told = rule_of(call, path);
  return told == kStall ? rule_after_stall(call, path) : told;
}

#define FAIL_IF_TOLD(call, fd)           \
  do {                                   \
    const int told = fault_of(call, fd); \
    if (told != 0) {                     \
      errno = told;                      \
      return -1;                         \
    }                                    \
  } while (0)

ssize_t pwrite(int fd, const void* bytes, size_t count, off_t at) {
  FAIL_IF_TOLD("write", fd);
  return syscall(SYS_pwrite64, fd, bytes, count, at);
}
ssize_t pwrite64(int fd, const void* bytes, size_t count, off64_t at) { return pwrite(fd, bytes, count, at); }

ssize_t pwritev(int fd, const struct iovec* parts, int count, off_t at) {
  FAIL_IF_TOLD("write", fd);
  // The kernel takes an offset in two halves; on 64 bits the second one is not looked at.
  return syscall(SYS_pwritev, fd, parts, count, at, 0);
}
ssize_t pwritev64(int fd, const struct iovec* parts, int count, off64_t at) {
  return pwritev(fd, parts, count, at);
}

int fsync(int fd) {
  FAIL_IF_TOLD("sync", fd);
  return (int)syscall(SYS_fsync, fd);
}
int fdatasync(int fd) {
  FAIL_IF_TOLD("sync", fd);
  return (int)syscall(SYS_fdatasync, fd);
}

int fallocate(int fd, int mode, off_t from, off_t bytes) {
  FAIL_IF_TOLD("room", fd);
  return (int)syscall(SYS_fallocate, fd, mode, from, bytes);
}
int fallocate64(int fd, int mode, off64_t from, off64_t bytes) { return fallocate(fd, mode, from, bytes); }
