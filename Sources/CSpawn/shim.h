#ifndef HYPHA_CSPAWN_SHIM_H
#define HYPHA_CSPAWN_SHIM_H

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stddef.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/types.h>
#include <sys/wait.h>
#include <unistd.h>

/* Starting a program: Swift may not call fork(2), and posix_spawn(3) cannot bind a child's life to its parent's. The
   function is emitted into its caller's module; there is no library. */

/* Runs in the child between fork and exec: calls that are safe after the fork of a process with threads, alone. */
static inline void hypha_spawn_exec(
    const char *_Nonnull path, char *_Nullable const *_Nonnull words, char *_Nullable const *_Nonnull variables,
    const char *_Nullable directory, const int *_Nonnull streams, int report, pid_t parent) {
  struct sigaction standard = {0};
  standard.sa_handler = SIG_DFL;
  for (int number = 1; number < 65; number += 1) (void)sigaction(number, &standard, NULL);
  (void)setpgid(0, 0);
  /* The signal comes when the thread that forked ends. Where that is so already, it would not come. */
  if (prctl(PR_SET_PDEATHSIG, SIGKILL) != 0 || getppid() != parent) _exit(127);
  int copies[4] = {streams[0], streams[1], streams[2], report};
  for (int place = 0; place < 4; place += 1) {
    /* Out of the way of each other's new numbers. */
    copies[place] = fcntl(copies[place], F_DUPFD, 10);
    if (copies[place] < 0) return;
  }
  for (int place = 0; place < 4; place += 1) {
    if (dup2(copies[place], place) < 0) return;
  }
  if (fcntl(3, F_SETFD, FD_CLOEXEC) != 0 || syscall(SYS_close_range, 4U, ~0U, 0U) != 0) return;
  if (directory != NULL && chdir(directory) != 0) return;
  sigset_t none;
  sigemptyset(&none);
  (void)sigprocmask(SIG_SETMASK, &none, NULL);
  (void)execve(path, words, variables);
}

/* Starts a program with these three standard streams and no other file open, in a process group of its own, with no signal
   ignored or blocked, that is killed when the calling thread ends. Its id, or -1 with errno. */
static inline pid_t hypha_spawn(
    const char *_Nonnull path, char *_Nullable const *_Nonnull words, char *_Nullable const *_Nonnull variables,
    const char *_Nullable directory, const int *_Nonnull streams) {
  int report[2];
  if (pipe(report) != 0) return -1;
  (void)fcntl(report[0], F_SETFD, FD_CLOEXEC);
  (void)fcntl(report[1], F_SETFD, FD_CLOEXEC);
  pid_t parent = getpid();
  sigset_t all, before;
  sigfillset(&all);
  (void)pthread_sigmask(SIG_SETMASK, &all, &before);
  pid_t child = fork();
  if (child == 0) {
    hypha_spawn_exec(path, words, variables, directory, streams, report[1], parent);
    int problem = errno;
    /* Where the report has its new number already, and where it has not. */
    if (write(report[1], &problem, sizeof problem) < 0) (void)!write(3, &problem, sizeof problem);
    _exit(127);
  }
  int problem = child < 0 ? errno : 0;
  (void)pthread_sigmask(SIG_SETMASK, &before, NULL);
  (void)close(report[1]);
  if (child >= 0) {
    ssize_t count;
    do count = read(report[0], &problem, sizeof problem);
    while (count < 0 && errno == EINTR);
    if (count != (ssize_t)sizeof problem) problem = 0;
  }
  (void)close(report[0]);
  if (problem == 0) return child;
  if (child > 0) {
    while (waitpid(child, NULL, 0) < 0 && errno == EINTR) {}
  }
  errno = problem;
  return -1;
}

#endif
