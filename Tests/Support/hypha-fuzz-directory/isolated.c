#define _GNU_SOURCE
#include "isolated.h"

#include <errno.h>
#include <signal.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

/* The counters of what is covered, one a branch, which libFuzzer reads after each input: in a page that parent and
 * child share they tell what the child did. */
extern uint8_t __start___sancov_cntrs[], __stop___sancov_cntrs[];

enum { TIMEOUT_SECONDS = 10 };

static int *shared_stage;

static void share(void) {
  uintptr_t page = sysconf(_SC_PAGESIZE);
  uintptr_t begin = (uintptr_t)__start___sancov_cntrs & ~(page - 1);
  size_t count = ((uintptr_t)__stop___sancov_cntrs - begin + page - 1) & ~(page - 1);
  /* The first and the last page hold other variables too; their values go along. */
  char *copy = malloc(count);
  memcpy(copy, (void *)begin, count);
  void *pages = mmap(
    (void *)begin, count, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
  shared_stage = mmap(0, page, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  if (pages == MAP_FAILED || shared_stage == MAP_FAILED) abort();
  memcpy(pages, copy, count);
  free(copy);
}

int hypha_run_isolated(int (*body)(int *stage), int *stage) {
  if (!shared_stage) share();
  *shared_stage = 0;
  pid_t child = fork();
  if (child < 0) abort();
  if (child == 0) {
    /* libFuzzer's handlers would take a death here for its own. */
    int deadly[] = {SIGSEGV, SIGBUS, SIGABRT, SIGILL, SIGFPE, SIGTRAP, SIGALRM};
    for (unsigned index = 0; index < sizeof deadly / sizeof *deadly; index++) signal(deadly[index], SIG_DFL);
    alarm(TIMEOUT_SECONDS);
    _exit(body(shared_stage));
  }
  int status = 0;
  /* libFuzzer's own clock may interrupt the wait. */
  while (waitpid(child, &status, 0) != child)
    if (errno != EINTR) abort();
  *stage = *shared_stage;
  return WIFSIGNALED(status) ? -WTERMSIG(status) : WEXITSTATUS(status);
}
