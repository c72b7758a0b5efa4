#ifndef HYPHA_FUZZ_ISOLATED_H
#define HYPHA_FUZZ_ISOLATED_H

/* Runs `body` in a child process and waits for it.
 *
 * Returns what `body` returned, 0 to 255; or, where the child died by a signal, the signal's number negated. Whatever
 * the child had written to `*stage` is there afterwards, and so is what it covered of the code. */
int hypha_run_isolated(int (*body)(int *stage), int *stage);

#endif
