/* A clock that was set back, for tools/soak: preloaded into a process, it lets that believe in a time of day that lies HYPHA_CLOCK_BACK seconds
 * before the machine's. Clocks that only grow (CLOCK_MONOTONIC, CLOCK_BOOTTIME) stay as they are, as they do where a clock is set. */
#define _GNU_SOURCE
#include <stdlib.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

static long back(void) {
  const char *value = getenv("HYPHA_CLOCK_BACK");
  return value ? atol(value) : 0;
}

int clock_gettime(clockid_t clock, struct timespec *time) {
  static long seconds = -1;
  if (seconds < 0) seconds = back();
  int result = syscall(SYS_clock_gettime, clock, time);
  if (result == 0 && (clock == CLOCK_REALTIME || clock == CLOCK_REALTIME_COARSE)) time->tv_sec -= seconds;
  return result;
}

int gettimeofday(struct timeval *restrict value, void *restrict zone) {
  struct timespec now;
  (void)zone;
  if (clock_gettime(CLOCK_REALTIME, &now)) return -1;
  *value = (struct timeval){now.tv_sec, now.tv_nsec / 1000};
  return 0;
}

time_t time(time_t *value) {
  struct timespec now;
  if (clock_gettime(CLOCK_REALTIME, &now)) return -1;
  if (value) *value = now.tv_sec;
  return now.tv_sec;
}
