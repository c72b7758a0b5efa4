/* A disk that fails on purpose, for the tests of the log: preloaded into a child process, it stands between that
 * process and the files below one directory.
 *
 *   HYPHA_FAULT_DIR    the directory; LMDB's and the writer's lock files in it do not count
 *   HYPHA_FAULT_CALLS  which calls count: `write` (also those that set a size), `sync`, `meta` (writes to the first two
 *                      pages of `log/data.mdb`), `name` (renames, which are killed before or after and do not fail), or
 *                      `any` (default: writes and syncs)
 *   HYPHA_FAULT_AT     the number of the first call that meets the fault, from 1
 *   HYPHA_FAULT_LAST   the number of the last one; by default the same, 0 for all from then on
 *   HYPHA_FAULT_DO     `eio`, `enospc`     the call fails and does nothing
 *                      `short`             a write does its first half, a sync fails with EIO
 *                      `late`             a write says that it failed, but is done, and not synced
 *                      `kill-before`, `kill-torn`, `kill-after`   kill -9: before the call, after half of it, after it
 *                      each is said on standard output: `fault NUMBER PATH`
 *   HYPHA_FAULT_ONCE   a file: only the process that makes it meets the fault, the ones after it do not
 *   HYPHA_FAULT_SYNC   `skip`: syncs succeed and sync nothing; `skip-data`: except writes that sync themselves
 *   HYPHA_FAULT_TRACE  a file that takes down all that the calls do, in their order, for the simulation of power cuts:
 *                      entries of `struct entry`, each followed by its path and its bytes; what the process writes to
 *                      its standard output stands between them, as notes
 *
 * Calls are made and taken down one at a time, so the trace has the order in which they returned.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <signal.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

/* What stands before the path and the bytes of an entry, in the byte order of x86-64 and arm64. */
struct entry {
  uint8_t kind;        /* the letters below */
  uint8_t is_synced;   /* of a write: whether it returned only when it was on disk */
  uint16_t path_count; /* bytes of the path */
  uint32_t byte_count; /* bytes behind the path */
  uint64_t file;       /* the inode */
  uint64_t offset;     /* of a write; of a size, the size */
};
enum {
  WRITE = 'W', SIZE = 'T', GROW = 'A', SYNC = 'S', FAILED_SYNC = 'F', UNSEEN = 'X',
  RENAME = 'R', UNLINK = 'U', MAKE_DIRECTORY = 'M', NOTE = 'N'
};

enum action { PASS, FAIL, SHORT, LATE, KILL_BEFORE, KILL_TORN, KILL_AFTER };
enum { WRITES = 1, SYNCS = 2, METAS = 4, NAMES = 8 };

static char directory[PATH_MAX];
static size_t directory_count;
static int counted = WRITES | SYNCS, skips_syncs, skips_synced_writes;
static long first, last, calls;
static enum action wanted = PASS;
static int failure = EIO;
static int trace = -1;
static pthread_mutex_t order = PTHREAD_MUTEX_INITIALIZER;

#define REAL(name) \
  static __typeof__(&name) real; \
  if (!real) real = (__typeof__(&name))dlsym(RTLD_NEXT, #name)

static const char *setting(const char *name) {
  const char *value = getenv(name);
  return value ? value : "";
}

__attribute__((constructor)) static void read_settings(void) {
  if (!realpath(setting("HYPHA_FAULT_DIR"), directory)) return;
  directory_count = strlen(directory);
  const char *which = setting("HYPHA_FAULT_CALLS"), *what = setting("HYPHA_FAULT_DO");
  counted = !strcmp(which, "write") ? WRITES : !strcmp(which, "sync") ? SYNCS
    : !strcmp(which, "meta") ? METAS : !strcmp(which, "name") ? NAMES : WRITES | SYNCS;
  first = atol(setting("HYPHA_FAULT_AT"));
  last = getenv("HYPHA_FAULT_LAST") ? atol(setting("HYPHA_FAULT_LAST")) : first;
  failure = !strcmp(what, "enospc") ? ENOSPC : EIO;
  wanted = !strcmp(what, "eio") || !strcmp(what, "enospc") ? FAIL
    : !strcmp(what, "short") ? SHORT
    : !strcmp(what, "late") ? LATE
    : !strcmp(what, "kill-before") ? KILL_BEFORE
    : !strcmp(what, "kill-torn") ? KILL_TORN
    : !strcmp(what, "kill-after") ? KILL_AFTER : PASS;
  skips_synced_writes = !strcmp(setting("HYPHA_FAULT_SYNC"), "skip");
  skips_syncs = skips_synced_writes || !strcmp(setting("HYPHA_FAULT_SYNC"), "skip-data");
  if (*setting("HYPHA_FAULT_TRACE"))
    trace = open(setting("HYPHA_FAULT_TRACE"), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
}

/* Whether a path lies in the directory and is no lock file. */
static int concerns(const char *path) {
  if (!directory_count || strncmp(path, directory, directory_count) || path[directory_count] != '/') return 0;
  const char *name = strrchr(path, '/') + 1;
  return strcmp(name, "lock.mdb") && strcmp(name, "writer.lock");
}

/* Whether a descriptor's file or directory is watched; its path then, as it is named now. */
static int watches(int descriptor, char *path) {
  char link[64];
  snprintf(link, sizeof link, "/proc/self/fd/%d", descriptor);
  ssize_t count = directory_count ? readlink(link, path, PATH_MAX - 1) : -1;
  if (count < 0) return 0;
  path[count] = 0;
  return concerns(path) || !strcmp(path, directory);
}

/* What happens to this call, which is counted. The caller holds the lock. */
static enum action next_action(int kind, const char *path) {
  if (!(counted & kind) || wanted == PASS || !first) return PASS;
  calls += 1;
  if (calls < first || (last && calls > last)) return PASS;
  if (*setting("HYPHA_FAULT_ONCE")) {
    int marker = syscall(SYS_openat, AT_FDCWD, setting("HYPHA_FAULT_ONCE"), O_CREAT | O_EXCL | O_WRONLY, 0600);
    if (marker < 0) return PASS;
    syscall(SYS_close, marker);
  }
  char line[PATH_MAX + 32];
  int count = snprintf(line, sizeof line, "fault %ld %s\n", calls, path);
  return syscall(SYS_write, 1, line, count) < 0 ? PASS : wanted;
}

static void die(void) {
  kill(getpid(), SIGKILL);
  for (;;) pause();
}

static void put(const void *bytes, size_t count) {
  while (count > 0) {
    long done = syscall(SYS_write, trace, bytes, count);
    if (done <= 0) abort();
    bytes = (const char *)bytes + done;
    count -= done;
  }
}

/* Writes an entry's head and its path; its bytes, if it has any, are the caller's to put. */
static void take_down(int kind, int descriptor, const char *path, uint64_t offset, size_t count, int is_synced) {
  struct stat status;
  memset(&status, 0, sizeof status);
  if (descriptor >= 0) fstat(descriptor, &status);
  struct entry entry = {kind, is_synced, strlen(path), count, status.st_ino, offset};
  put(&entry, sizeof entry);
  put(path, entry.path_count);
}

static void take_down_write(
  int descriptor, const char *path, const struct iovec *parts, int part_count, off_t offset, size_t count,
  int is_late)
{
  int is_synced = !is_late && !skips_synced_writes && fcntl(descriptor, F_GETFL) & O_DSYNC;
  take_down(WRITE, descriptor, path, offset, count, is_synced != 0);
  for (int index = 0; index < part_count && count > 0; index++) {
    size_t of_part = parts[index].iov_len < count ? parts[index].iov_len : count;
    put(parts[index].iov_base, of_part);
    count -= of_part;
  }
}

static ssize_t raw_write(int descriptor, const struct iovec *parts, int part_count, off_t offset) {
  if (offset < 0) return syscall(SYS_writev, descriptor, parts, part_count);
  return syscall(SYS_pwritev, descriptor, parts, part_count, offset, 0);
}

/* The first part of a write. */
static ssize_t write_part(
  int descriptor, const struct iovec *parts, int part_count, off_t offset, size_t count, size_t of_it)
{
  char *bytes = malloc(count + 1);
  size_t filled = 0;
  for (int index = 0; index < part_count; index++) {
    memcpy(bytes + filled, parts[index].iov_base, parts[index].iov_len);
    filled += parts[index].iov_len;
  }
  struct iovec part = {bytes, of_it};
  ssize_t done = raw_write(descriptor, &part, 1, offset);
  free(bytes);
  return done;
}

/* Every write comes here; a negative offset means the descriptor's own place. */
static ssize_t any_write(int descriptor, const struct iovec *parts, int part_count, off_t offset) {
  char path[PATH_MAX];
  int is_watched = watches(descriptor, path), is_note = trace >= 0 && descriptor == 1;
  if (!is_watched && !is_note) return raw_write(descriptor, parts, part_count, offset);
  size_t count = 0;
  for (int index = 0; index < part_count; index++) count += parts[index].iov_len;
  pthread_mutex_lock(&order);
  off_t place = offset >= 0 ? offset : lseek(descriptor, 0, SEEK_CUR);
  const char *name = strstr(path, "/log/data.mdb");
  int is_meta = is_watched && name && !name[strlen("/log/data.mdb")] && offset >= 0 && offset < 8192 && count < 512;
  enum action action = is_watched ? next_action(WRITES | (is_meta ? METAS : 0), path) : PASS;
  ssize_t done = -1;
  int code = failure;
  if (action == KILL_BEFORE) die();
  if (action == PASS || action == KILL_AFTER) {
    done = raw_write(descriptor, parts, part_count, offset);
    code = errno;
  } else if (action == LATE) {
    done = raw_write(descriptor, parts, part_count, offset);
  } else if (action != FAIL) {
    /* A dying process leaves whole sectors; a write that is cut short may end anywhere. */
    size_t half = action == KILL_TORN ? count / 1024 * 512 : count / 2;
    done = write_part(descriptor, parts, part_count, offset, count, half);
    code = errno;
  }
  if (action == KILL_TORN || action == KILL_AFTER) die();
  if (trace >= 0 && done > 0 && is_watched)
    take_down_write(descriptor, path, parts, part_count, place, done, action == LATE);
  if (trace >= 0 && done > 0 && !is_watched) {
    take_down(NOTE, -1, "", 0, done, 0);
    if (part_count == 1) put(parts[0].iov_base, done);
  }
  pthread_mutex_unlock(&order);
  errno = code;
  return action == LATE ? -1 : done;
}

ssize_t write(int descriptor, const void *bytes, size_t count) {
  struct iovec part = {(void *)bytes, count};
  return any_write(descriptor, &part, 1, -1);
}

ssize_t pwrite(int descriptor, const void *bytes, size_t count, off_t offset) {
  struct iovec part = {(void *)bytes, count};
  return any_write(descriptor, &part, 1, offset);
}

ssize_t pwrite64(int descriptor, const void *bytes, size_t count, off64_t offset) {
  return pwrite(descriptor, bytes, count, offset);
}

ssize_t writev(int descriptor, const struct iovec *parts, int part_count) {
  return any_write(descriptor, parts, part_count, -1);
}

ssize_t pwritev(int descriptor, const struct iovec *parts, int part_count, off_t offset) {
  return any_write(descriptor, parts, part_count, offset);
}

ssize_t pwritev64(int descriptor, const struct iovec *parts, int part_count, off64_t offset) {
  return any_write(descriptor, parts, part_count, offset);
}

/* A call that either happens or not: with its fault, its entry in the trace, and its result. */
#define WITH_FAULTS(kind, descriptor, path, call, on_success, on_failure) \
  pthread_mutex_lock(&order); \
  enum action action = next_action(kind, path); \
  int result = -1, code = failure; \
  if (action == KILL_BEFORE || action == KILL_TORN) die(); \
  if (action == PASS || action == KILL_AFTER) { \
    result = (call); \
    code = errno; \
  } \
  if (action == KILL_AFTER) die(); \
  if (trace >= 0 && result == 0) { on_success; } \
  if (trace >= 0 && result != 0) { on_failure; } \
  pthread_mutex_unlock(&order); \
  errno = code; \
  return result

#define SYNCING(name) \
  int name(int descriptor) { \
    REAL(name); \
    char path[PATH_MAX]; \
    if (!watches(descriptor, path)) return real(descriptor); \
    WITH_FAULTS( \
      SYNCS, descriptor, path, skips_syncs ? 0 : real(descriptor), \
      if (!skips_syncs) take_down(SYNC, descriptor, path, 0, 0, 0), \
      take_down(FAILED_SYNC, descriptor, path, 0, 0, 0)); \
  }
SYNCING(fsync)
SYNCING(fdatasync)

/* What was written through a map cannot be seen here: the trace says so, and is good for nothing. */
int msync(void *address, size_t count, int flags) {
  REAL(msync);
  if (!directory_count) return real(address, count, flags);
  WITH_FAULTS(
    SYNCS, -1, "", skips_syncs ? 0 : real(address, count, flags), take_down(UNSEEN, -1, "", 0, 0, 0), );
}

#define SIZING(name, entry_kind, size, ...) \
  { \
    REAL(name); \
    char path[PATH_MAX]; \
    if (!watches(descriptor, path)) return real(__VA_ARGS__); \
    WITH_FAULTS( \
      WRITES, descriptor, path, real(__VA_ARGS__), take_down(entry_kind, descriptor, path, size, 0, 0), ); \
  }
int ftruncate(int descriptor, off_t size) SIZING(ftruncate, SIZE, size, descriptor, size)
int ftruncate64(int descriptor, off64_t size) SIZING(ftruncate64, SIZE, size, descriptor, size)
int fallocate(int descriptor, int mode, off_t offset, off_t count)
  SIZING(fallocate, mode == 0 ? GROW : UNSEEN, offset + count, descriptor, mode, offset, count)
int posix_fallocate(int descriptor, off_t offset, off_t count) {
  return fallocate(descriptor, 0, offset, count) == 0 ? 0 : errno;
}

/* Names are taken down; of faults they meet kills alone. */
#define NAMING(entry_kind, path, call, second, second_count) \
  char whole[PATH_MAX]; \
  int result = (call), code = errno; \
  if (trace >= 0 && result == 0 && realpath_of_name(path, whole)) { \
    pthread_mutex_lock(&order); \
    take_down(entry_kind, -1, whole, 0, second_count, 0); \
    put(second, second_count); \
    pthread_mutex_unlock(&order); \
  } \
  errno = code; \
  return result

/* The absolute path of a name that need not exist any more; whether it lies in the directory. */
static int realpath_of_name(const char *path, char *whole) {
  char parent[PATH_MAX];
  snprintf(parent, sizeof parent, "%s", path);
  char *slash = strrchr(parent, '/');
  if (!slash) return 0;
  *slash = 0;
  if (!realpath(parent, whole)) return 0;
  size_t count = strlen(whole);
  snprintf(whole + count, PATH_MAX - count, "/%s", slash + 1);
  return concerns(whole);
}

/* What happens to a rename to `new`, before it is done; whether to die behind it. */
static int dies_behind(const char *new) {
  char target[PATH_MAX];
  if (!realpath_of_name(new, target)) return 0;
  pthread_mutex_lock(&order);
  enum action action = next_action(NAMES, target);
  if (action == KILL_BEFORE) die();
  pthread_mutex_unlock(&order);
  return action == KILL_AFTER;
}

int rename(const char *old, const char *new) {
  REAL(rename);
  char target[PATH_MAX] = "";
  realpath_of_name(new, target);
  int dies = dies_behind(new), outcome = real(old, new);
  if (dies) die();
  NAMING(RENAME, old, outcome, target, strlen(target));
}

int renameat2(int from, const char *old, int to, const char *new, unsigned flags) {
  REAL(renameat2);
  int dies = dies_behind(new), outcome = real(from, old, to, new, flags);
  if (dies) die();
  return outcome;
}

int unlink(const char *path) {
  REAL(unlink);
  NAMING(UNLINK, path, real(path), "", 0);
}

int mkdir(const char *path, mode_t mode) {
  REAL(mkdir);
  NAMING(MAKE_DIRECTORY, path, real(path, mode), "", 0);
}
