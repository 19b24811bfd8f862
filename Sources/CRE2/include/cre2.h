#pragma once
// RE2 behind a C face. Patterns and texts are byte ranges, not NUL-terminated.
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct cre2_pattern cre2_pattern;

/// A range of bytes of the text that was searched; `start` is -1 where a group took no part in the match.
typedef struct {
    ptrdiff_t start;
    ptrdiff_t end;
} cre2_range;

/// Compiles a pattern; null when it is malformed or needs more than `max_memory` bytes, and then `message` (of `capacity` bytes) says why.
cre2_pattern *cre2_compile(const char *pattern, size_t length, int64_t max_memory, char *message, size_t capacity);
void cre2_free(cre2_pattern *pattern);
/// Whether the pattern matches anywhere in the text. Safe to call from many threads at once.
bool cre2_is_match(const cre2_pattern *pattern, const char *text, size_t length);
/// The first match at or after `offset`: fills `groups` (group 0 is the whole match), false when there is none.
bool cre2_find(const cre2_pattern *pattern, const char *text, size_t length, size_t offset, cre2_range *groups, int32_t count);
/// Instructions of the compiled pattern: at worst all of them are looked at for each byte of a text.
int32_t cre2_program_size(const cre2_pattern *pattern);
/// Capturing groups of the pattern, the whole match not counted.
int32_t cre2_group_count(const cre2_pattern *pattern);

#ifdef __cplusplus
}
#endif
