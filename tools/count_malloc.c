/* Counts allocations, for tools/count-allocations: preloaded into a process, it counts what malloc, calloc, realloc and their like hand out, by
 * thread, in the file HYPHA_COUNT_FILE, which the tool maps too. While the tool asks for it there, one allocation of so many leaves its stack. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <execinfo.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

enum { THREADS = 256, STACKS = 8192, DEPTH = 30 };

/* The layout that tools/count-allocations reads. */
struct thread_count {
  uint64_t id, allocations, bytes, frees;
  char name[32];
};
struct stack {
  uint64_t thread, bytes, depth, places[DEPTH];
};
struct page {
  _Atomic uint64_t stride; /* Of how many allocations one leaves its stack; 0 for none. */
  _Atomic uint64_t stack_count, thread_count, pad;
  struct thread_count threads[THREADS];
  struct stack stacks[STACKS];
};

extern void *__libc_malloc(size_t), *__libc_calloc(size_t, size_t), *__libc_realloc(void *, size_t), *__libc_memalign(size_t, size_t);
extern void __libc_free(void *);

static struct page *page;
static __thread struct thread_count *mine __attribute__((tls_model("initial-exec")));
static __thread int busy __attribute__((tls_model("initial-exec")));

__attribute__((constructor)) static void map_page(void) {
  const char *path = getenv("HYPHA_COUNT_FILE");
  int file = path ? open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600) : -1;
  if (file < 0) return;
  void *unwinder[1];
  backtrace(unwinder, 1); /* Loads what unwinds, which allocates. */
  if (ftruncate(file, sizeof(struct page)) == 0) {
    void *base = mmap(NULL, sizeof(struct page), PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
    if (base != MAP_FAILED) page = base;
  }
  close(file);
  /* What this process starts is not counted. */
  unsetenv("LD_PRELOAD");
}

static struct thread_count *enter_thread(void) {
  uint64_t index = atomic_fetch_add(&page->thread_count, 1);
  mine = &page->threads[index < THREADS ? index : THREADS - 1];
  mine->id = syscall(SYS_gettid);
  return mine;
}

static void count(size_t bytes) {
  if (!page || busy) return;
  struct thread_count *thread = mine ? mine : enter_thread();
  uint64_t allocations = ++thread->allocations;
  thread->bytes += bytes;
  uint64_t stride = atomic_load_explicit(&page->stride, memory_order_relaxed);
  if (!stride || allocations % stride) return;
  uint64_t index = atomic_fetch_add(&page->stack_count, 1);
  if (index >= STACKS) return;
  busy = 1;
  prctl(PR_GET_NAME, thread->name);
  struct stack *stack = &page->stacks[index];
  stack->thread = (uint64_t)(thread - page->threads);
  stack->bytes = bytes;
  stack->depth = (uint64_t)backtrace((void **)stack->places, DEPTH);
  busy = 0;
}

void *malloc(size_t size) { count(size); return __libc_malloc(size); }
void *calloc(size_t number, size_t size) { count(number * size); return __libc_calloc(number, size); }
void *realloc(void *old, size_t size) { count(size); return __libc_realloc(old, size); }
void *memalign(size_t alignment, size_t size) { count(size); return __libc_memalign(alignment, size); }
void *aligned_alloc(size_t alignment, size_t size) { count(size); return __libc_memalign(alignment, size); }
int posix_memalign(void **result, size_t alignment, size_t size) {
  count(size);
  void *memory = __libc_memalign(alignment, size);
  if (!memory) return ENOMEM;
  *result = memory;
  return 0;
}

void free(void *memory) {
  if (page && memory && mine) mine->frees++;
  __libc_free(memory);
}
