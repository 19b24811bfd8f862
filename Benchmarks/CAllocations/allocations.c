// Counts allocations by standing in front of the C library's own functions: symbols of the program come before those of its libraries, so that Swift's
// runtime, too, allocates through these.
#include "CAllocations.h"

#include <malloc.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdio.h>

extern void *__libc_malloc(size_t);
extern void *__libc_calloc(size_t, size_t);
extern void *__libc_realloc(void *, size_t);

static atomic_ullong count;

void *malloc(size_t size) {
    atomic_fetch_add_explicit(&count, 1, memory_order_relaxed);
    return __libc_malloc(size);
}

void *calloc(size_t number, size_t size) {
    atomic_fetch_add_explicit(&count, 1, memory_order_relaxed);
    return __libc_calloc(number, size);
}

void *realloc(void *old, size_t size) {
    atomic_fetch_add_explicit(&count, 1, memory_order_relaxed);
    return __libc_realloc(old, size);
}

unsigned long long allocation_count(void) { return atomic_load_explicit(&count, memory_order_relaxed); }
void give_free_memory_back(void) { malloc_trim(0); }
void complain(const char *line) { fprintf(stderr, "%s\n", line); }
void flush_output(void) { fflush(stdout); }
