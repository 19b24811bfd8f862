#pragma once
#include "sandbox.h"
#include <lua.h>
#include <lualib.h>
#include <lauxlib.h>

/// Lua's instructions between two looks of the hook.
#define HOOK_INTERVAL 1000

static inline sandbox *owner(lua_State *L) { return *(sandbox **)lua_getextraspace(L); }

/// Ends the run: nothing of the script can catch it.
/// `deadline` of a run whose time is taken when its clock is first looked at: most runs end before that.
#define DEADLINE_OPEN (-1)

_Noreturn void raise_limit(lua_State *L, sandbox *s, int32_t limit);
/// For a status of lua_resume or lua_pcallk: a refused allocation is a limit.
void note_status(sandbox *s, int status);
/// Whether the value on top of the stack is what `raise_limit` raises.
bool is_limit_marker(lua_State *L, int index);
int64_t monotonic_now(void);

/// Counts work that the hook does not see. May raise.
static inline void charge(lua_State *L, sandbox *s, int64_t units) {
    s->left -= units;
    if (__builtin_expect(s->left < 0, 0)) raise_limit(L, s, SANDBOX_INSTRUCTIONS);
}
/// For work that may take long by itself: looks at the clock too.
void check_time(lua_State *L, sandbox *s);

// exchange.c
void encode(lua_State *L, sandbox *s, int index, bool takes_functions);
int decode_all(lua_State *L, sandbox *s);
void push_function_reference(lua_State *L, int32_t reference);
/// Pushes the value that begins at `at`.
void decode_at(lua_State *L, const uint8_t *at);
extern const char array_marker;

// reading.c
void open_readings(lua_State *L);
void push_reading(lua_State *L, sandbox *s, const sandbox_message *message, const sandbox_bytes *captures);
/// Makes a plain table of a reading that is not one yet; any other value stays as it is.
void complete_reading(lua_State *L, sandbox *s, int index);

// json.c
int json_decode(lua_State *L);

// order.c
typedef struct {
    int32_t kind;
    lua_Integer integer;
    lua_Number number;
    const char *text;
    size_t length;
} table_key;
/// The keys of the table at `index` in their defined order, in the sandbox's scratch. Raises for keys that have none.
size_t sorted_keys(lua_State *L, sandbox *s, int index);
void push_key(lua_State *L, const table_key *key);
int base_next(lua_State *L);
int base_pairs(lua_State *L);

// Libraries: each fills the table on top of the stack.
void open_base(lua_State *L);
void open_coroutine(lua_State *L);
void open_string(lua_State *L);
void open_table(lua_State *L);
void open_math(lua_State *L);
/// Pushes the text of any value: no addresses, no NaN with a sign. May call `__tostring`.
const char *push_text(lua_State *L, int index, size_t *length);

// pattern.c
int string_find(lua_State *L);
int string_match(lua_State *L);
int string_gmatch(lua_State *L);
int string_gsub(lua_State *L);
// format.c
int string_format(lua_State *L);
