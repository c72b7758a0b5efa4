#ifndef HYPHA_CZEROMQ_SHIM_H
#define HYPHA_CZEROMQ_SHIM_H

#include <errno.h>
#include <pthread.h>
#include <stdint.h>
#include <sys/eventfd.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>
#include <zmq.h>

/* The Glibc module does not export these. */
static inline int hypha_eventfd(void) { return eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK); }
static inline void hypha_eventfd_signal(int fd) {
  uint64_t one = 1;
  ssize_t written = write(fd, &one, sizeof one);
  (void)written; /* a full counter already means "wake up" */
}
static inline void hypha_eventfd_clear(int fd) {
  uint64_t count;
  ssize_t taken = read(fd, &count, sizeof count);
  (void)taken;
}
/* Linux applies a nice value to the calling thread alone. */
static inline void hypha_thread_lower_priority(int nice_value) {
  (void)setpriority(PRIO_PROCESS, 0, nice_value);
}
/* pthread_self() has no order of its own in Swift; the kernel's number of the calling thread has. */
static inline long hypha_thread_id(void) { return syscall(SYS_gettid); }
static inline void hypha_thread_name(const char *name) { (void)pthread_setname_np(pthread_self(), name); }

#endif
