// libmongoc keeps counters in shared memory named for the process and makes it while it is loaded, before main. What a killed process with the
// same number left behind (in a container the number is always the same) makes it warn on standard error at every start, past our log.
#include "CMongoStart.h"

#include <stdio.h>
#include <sys/mman.h>
#include <unistd.h>

static void remove_leftover_counters(void) {
    char name[32];
    snprintf(name, sizeof name, "/mongoc-%u", (unsigned)getpid());
    // Ours by its number, so its owner is gone; mostly there is none.
    shm_unlink(name);
}

// The functions of .preinit_array, which only an executable has, run before those of any shared library.
__attribute__((section(".preinit_array"), used)) static void (*const before_libraries)(void) = remove_leftover_counters;
