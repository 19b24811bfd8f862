#pragma once
// Lua as it is, without limits and without a host: what the sandbox is compared with.
#include <stdbool.h>
#include <stdint.h>

typedef struct bare_lua bare_lua;

/// Runs `text`, which must return a function. NULL when it cannot.
bare_lua *bare_lua_new(const char *text);
/// Calls the function so many times, each with a new table `{temperature, limit, humidity, battery, linkquality, voltage}` put together from C, under lua_pcall.
bool bare_lua_call(bare_lua *b, int64_t count);
void bare_lua_free(bare_lua *b);

/// Bytes that malloc has handed out.
int64_t heap_in_use(void);
