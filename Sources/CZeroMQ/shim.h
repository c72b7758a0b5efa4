#ifndef HYPHA_CZEROMQ_SHIM_H
#define HYPHA_CZEROMQ_SHIM_H

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <stdint.h>
#include <sys/eventfd.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <time.h>
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
/* poll() to the nanosecond, without end where the time is below 0; a wait may end early, with -1. */
static inline int hypha_poll(struct pollfd *items, unsigned long count, int64_t nanoseconds) {
  struct timespec time = {.tv_sec = nanoseconds / 1000000000, .tv_nsec = nanoseconds % 1000000000};
  return (int)syscall(SYS_ppoll, items, count, nanoseconds < 0 ? NULL : &time, NULL, 0);
}
/* How much later than asked the kernel may end the calling thread's waits; 50 us unless told. */
static inline void hypha_thread_timer_slack(unsigned long nanoseconds) {
  (void)prctl(PR_SET_TIMERSLACK, nanoseconds, 0, 0, 0);
}
/* pthread_self() has no order of its own in Swift; the kernel's number of the calling thread has. */
static inline long hypha_thread_id(void) { return syscall(SYS_gettid); }
static inline void hypha_thread_name(const char *name) { (void)pthread_setname_np(pthread_self(), name); }

#endif
