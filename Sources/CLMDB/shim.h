#ifndef HYPHA_CLMDB_SHIM_H
#define HYPHA_CLMDB_SHIM_H

#include <errno.h>
#include <lmdb.h>
#include <mcheck.h>
#include <pthread.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

/* The Glibc module does not export these. */

/* Names the calling thread and raises its nice value; Linux applies it to that thread alone. */
static inline void hypha_lmdb_prepare_thread(const char *name, int nice_value) {
  (void)pthread_setname_np(pthread_self(), name);
  if (nice_value > 0) (void)setpriority(PRIO_PROCESS, 0, nice_value);
}

static inline long hypha_lmdb_thread_id(void) { return syscall(SYS_gettid); }

/* The largest file that this process may write, or -1 where there is no limit. */
static inline long long hypha_lmdb_file_size_limit(void) {
  struct rlimit limit;
  if (getrlimit(RLIMIT_FSIZE, &limit) != 0 || limit.rlim_cur == RLIM_INFINITY) return -1;
  return (long long)limit.rlim_cur;
}

/* Takes room on the disk for the first bytes of a file; 0 or the errno. Unlike posix_fallocate it never writes bytes
   where a file system cannot do this, which would be a race with whoever writes there. */
static inline int hypha_lmdb_take_room(int file, long byte_count) {
  return syscall(SYS_fallocate, file, 0, 0L, byte_count) == 0 ? 0 : errno;
}

/* Of <stdio.h>, where _GNU_SOURCE is defined. */
extern int renameat2(int from, const char *old, int to, const char *name, unsigned int flags);

/* Lets two names of one file system change places, at one stroke. */
static inline int hypha_lmdb_exchange(const char *one, const char *other) {
  const int here = -100;       /* AT_FDCWD of <fcntl.h> */
  const unsigned exchange = 2; /* RENAME_EXCHANGE of <linux/fs.h> */
  return renameat2(here, one, here, other, exchange);
}

#endif
