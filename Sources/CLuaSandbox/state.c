#include "internal.h"
#include <stdio.h>
#include <time.h>

static const char limit_marker;
static const char threads_key;

int64_t monotonic_now(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

void sandbox_grow(sandbox_bytes *b, size_t more) {
    size_t capacity = b->capacity ? b->capacity : 256;
    while (capacity - b->count < more) capacity *= 2;
    uint8_t *base = realloc(b->base, capacity);
    // The machine is out of memory, not the script: there is nobody to tell.
    if (!base) abort();
    b->base = base;
    b->capacity = capacity;
}

void sandbox_give_back(sandbox_bytes *b) {
    free(b->base);
    *b = (sandbox_bytes){0};
}

// MARK: Limits

_Noreturn void raise_limit(lua_State *L, sandbox *s, int32_t limit) {
    if (!s->limit) s->limit = limit;
    // A thing that needs no memory, so that it can be raised when there is none.
    lua_pushlightuserdata(L, (void *)&limit_marker);
    lua_error(L);
    abort();
}

bool is_limit_marker(lua_State *L, int index) { return lua_touserdata(L, index) == (void *)&limit_marker; }

void note_status(sandbox *s, int status) {
    if (status == LUA_ERRMEM && !s->limit) s->limit = s->last_refusal ? s->last_refusal : SANDBOX_MEMORY;
}

void check_time(lua_State *L, sandbox *s) {
    if (s->is_stopped) raise_limit(L, s, SANDBOX_STOPPED);
    if (!s->deadline) return;
    int64_t now = monotonic_now();
    if (s->deadline == DEADLINE_OPEN) s->deadline = now + s->limits.wall_time;
    else if (now > s->deadline) raise_limit(L, s, SANDBOX_WALL_TIME);
}

static void on_count(lua_State *L, lua_Debug *ar) {
    (void)ar;
    sandbox *s = owner(L);
    s->left -= HOOK_INTERVAL;
    if (s->limit || s->left < 0) {
        // From here on at every instruction: whatever the script does with the error, it comes no further.
        lua_sethook(L, on_count, LUA_MASKCOUNT, 1);
        raise_limit(L, s, SANDBOX_INSTRUCTIONS);
    }
    check_time(L, s);
}

/// The allocator: bounds memory, and counts the copying that the hook does not see (a concatenation of long strings is one instruction).
static void *allocate(void *user, void *block, size_t old_size, size_t new_size) {
    sandbox *s = user;
    size_t old = block ? old_size : 0;
    if (new_size == 0) {
        s->memory -= old;
        free(block);
        return NULL;
    }
    if (new_size > old) {
        size_t growth = new_size - old;
        // For a new object Lua says in old_size of what kind it is.
        bool is_long = !block && old_size == LUA_TSTRING && new_size > s->limits.string_length + 64;
        if (is_long || s->memory + growth > s->limits.memory) {
            s->last_refusal = is_long ? SANDBOX_STRING_LENGTH : SANDBOX_MEMORY;
            // Lua now collects everything and asks again.
            s->left -= (int64_t)(s->memory >> 6);
            return NULL;
        }
        s->left -= (int64_t)(growth >> 6);
    }
    void *moved = realloc(block, new_size);
    if (!moved) return NULL;
    s->memory = s->memory - old + new_size;
    if (s->memory > s->memory_peak) s->memory_peak = s->memory;
    return moved;
}

// MARK: Making

static int open_everything(lua_State *L) {
    lua_newtable(L);
    lua_rawsetp(L, LUA_REGISTRYINDEX, &threads_key);
    lua_newtable(L);
    lua_pushliteral(L, "array");
    lua_setfield(L, -2, "__metatable");
    lua_rawsetp(L, LUA_REGISTRYINDEX, &array_marker);
    lua_pushglobaltable(L);
    open_base(L);
    lua_newtable(L);
    open_coroutine(L);
    lua_setfield(L, -2, "coroutine");
    lua_newtable(L);
    open_string(L);
    lua_setfield(L, -2, "string");
    lua_newtable(L);
    open_table(L);
    lua_setfield(L, -2, "table");
    lua_newtable(L);
    open_math(L);
    lua_setfield(L, -2, "math");
    lua_newtable(L);
    lua_pushcfunction(L, json_decode);
    lua_setfield(L, -2, "decode");
    lua_pushlightuserdata(L, NULL);
    lua_setfield(L, -2, "null");
    lua_setfield(L, -2, "json");
    open_readings(L);
    return 0;
}

sandbox *sandbox_new(sandbox_limits limits, uint64_t seed, sandbox_host host, void *user) {
    sandbox *s = calloc(1, sizeof(sandbox));
    if (!s) return NULL;
    s->limits = limits;
    s->host = host;
    s->user = user;
    s->left = INT64_MAX;
    s->configuration_function = -1;
    for (int i = 0; i < 4; i++) {
        // splitmix64: four words from one.
        uint64_t z = (seed += 0x9e3779b97f4a7c15u);
        z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
        z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
        s->random[i] = z ^ (z >> 31);
    }
    s->main = lua_newstate(allocate, s);
    if (!s->main) {
        free(s);
        return NULL;
    }
    *(sandbox **)lua_getextraspace(s->main) = s;
    lua_pushcfunction(s->main, open_everything);
    if (lua_pcall(s->main, 0, 0, 0) != LUA_OK) {
        sandbox_free(s);
        return NULL;
    }
    return s;
}

void sandbox_free(sandbox *s) {
    if (!s) return;
    s->limits.memory = SIZE_MAX;
    if (s->main) lua_close(s->main);
    free(s->input.base);
    free(s->output.base);
    free(s->spare.base);
    free(s->message.base);
    free(s->traceback.base);
    free(s->chunk.base);
    free(s->keys);
    free(s->chunk_names);
    free(s);
}

// MARK: Failures

static void put_text(sandbox_bytes *b, const char *text) { sandbox_put_raw(b, text, strlen(text)); }

/// The script's own frames, innermost first: `file:line: in function 'name'`.
static void take_traceback(sandbox *s, lua_State *co) {
    lua_Debug ar;
    int shown = 0;
    s->line = 0;
    sandbox_clear(&s->traceback);
    sandbox_clear(&s->chunk);
    // Finding a level takes as many steps as it is deep: no further than people read.
    for (int level = 0; level < 100 && lua_getstack(co, level, &ar); level++) {
        lua_getinfo(co, "Sln", &ar);
        if (ar.currentline < 0) continue;
        if (!s->line) {
            s->line = ar.currentline;
            put_text(&s->chunk, ar.source[0] == '@' || ar.source[0] == '=' ? ar.source + 1 : ar.short_src);
        }
        if (shown == 20) {
            put_text(&s->traceback, "\n(and more)");
            return;
        }
        char text[256];
        const char *source = ar.source[0] == '@' || ar.source[0] == '=' ? ar.source + 1 : ar.short_src;
        if (ar.name)
            snprintf(text, sizeof text, "%s%.120s:%d: in function '%.60s'", shown ? "\n" : "", source, ar.currentline, ar.name);
        else if (*ar.what == 'm')
            snprintf(text, sizeof text, "%s%.120s:%d: in the file itself", shown ? "\n" : "", source, ar.currentline);
        else
            snprintf(text, sizeof text, "%s%.120s:%d: in a function of line %d", shown ? "\n" : "", source, ar.currentline, ar.linedefined);
        put_text(&s->traceback, text);
        shown++;
    }
}

/// Takes `chunk:line: ` off a message, where Lua has put it, and keeps the line.
static void take_place(sandbox *s, const char *text, size_t length) {
    for (size_t i = 0; i + 2 < length && i < 600; i++) {
        if (text[i] != ':' || text[i + 1] < '0' || text[i + 1] > '9') continue;
        size_t end = i + 1;
        long line = 0;
        while (end < length && text[end] >= '0' && text[end] <= '9' && line < 100000000) line = line * 10 + (text[end++] - '0');
        if (end + 1 < length && text[end] == ':' && text[end + 1] == ' ') {
            // A place of this script only: `[string "…"]`, or an end of its name.
            const char *name = s->chunk_names ? s->chunk_names : "";
            size_t skip = i > 3 && memcmp(text, "...", 3) == 0 ? 3 : 0;
            size_t tail = strlen(name);
            if (i - skip > tail || memcmp(text + skip, name + tail - (i - skip), i - skip) != 0) continue;
            s->line = (int32_t)line;
            s->is_placed = true;
            sandbox_clear(&s->chunk);
            put_text(&s->chunk, name);
            sandbox_put_raw(&s->message, text + end + 2, length - end - 2);
            return;
        }
    }
    sandbox_put_raw(&s->message, text, length);
}

/// Describes what ended `co`: the error value is on top of its stack.
static void take_failure(sandbox *s, lua_State *co, int status) {
    note_status(s, status);
    take_traceback(s, co);
    s->is_placed = s->limit != SANDBOX_NO_LIMIT;
    if (s->limit != SANDBOX_HOST_LIMIT) sandbox_clear(&s->message);
    if (s->limit) return;
    size_t length = 0;
    if (lua_gettop(co) > 0 && lua_type(co, -1) == LUA_TSTRING) {
        const char *text = lua_tolstring(co, -1, &length);
        take_place(s, text, length < 4000 ? length : 4000);
    } else {
        put_text(&s->message, "an error that is no text was raised: a ");
        put_text(&s->message, lua_gettop(co) > 0 ? luaL_typename(co, -1) : "nil");
    }
}

// MARK: Running

/// What `prepare` and `finish` work on: they run under lua_pcall and find it behind a light pointer.
typedef struct {
    sandbox *s;
    lua_State *co;
    int32_t function, table, thread, arguments, results;
    const char *name, *text;
    size_t length;
    const sandbox_message *message;
    const sandbox_bytes *captures;
    int load_status;
} run;

static run *run_at_hand(lua_State *L) { return lua_touserdata(L, 1); }

/// The coroutine of the last run, when it has ended; false: one has to be made.
static bool take_idle(run *r) {
    r->co = r->s->idle;
    r->thread = r->s->idle_reference;
    r->s->idle = NULL;
    return r->co != NULL;
}

/// Keeps the coroutine for the next run; false when there is one already, or when it cannot run again.
static bool put_idle(run *r) {
    if (r->s->idle || lua_status(r->co) != LUA_OK) return false;
    lua_settop(r->co, 0);
    r->s->idle = r->co;
    r->s->idle_reference = r->thread;
    return true;
}

static int make_thread(lua_State *L) {
    run *r = run_at_hand(L);
    r->thread = 0;
    // Kept from the collector while it runs, waits or is idle.
    lua_rawgetp(L, LUA_REGISTRYINDEX, &threads_key);
    r->co = lua_newthread(L);
    r->thread = luaL_ref(L, -2);
    lua_pop(L, 1);
    return 0;
}

/// Puts a thread, the function and its arguments together.
static int prepare(lua_State *L) {
    run *r = run_at_hand(L);
    sandbox *s = r->s;
    if (!take_idle(r)) make_thread(L);
    int base = lua_gettop(L);
    if (r->text) {
        r->load_status = luaL_loadbufferx(L, r->text, r->length, r->name, "t");
        if (r->load_status != LUA_OK) {
            lua_xmove(L, r->co, 1);
            return 0;
        }
    } else if (r->name) {
        if (r->table) push_function_reference(L, r->table);
        else lua_pushglobaltable(L);
        if (lua_type(L, -1) != LUA_TTABLE) return luaL_error(L, "there is no function '%s'", r->name);
        lua_pushstring(L, r->name);
        lua_rawget(L, -2);
        if (lua_type(L, -1) != LUA_TFUNCTION) return luaL_error(L, "there is no function '%s'", r->name);
        lua_remove(L, -2);
    } else {
        push_function_reference(L, r->function);
        if (lua_type(L, -1) != LUA_TFUNCTION) return luaL_error(L, "the function is gone");
    }
    decode_all(L, s);
    int count = lua_gettop(L) - base;
    if (!lua_checkstack(r->co, count + 1)) return luaL_error(L, "too many arguments");
    lua_xmove(L, r->co, count);
    r->arguments = count - 1;
    return 0;
}

static int prepare_resume(lua_State *L) {
    run *r = run_at_hand(L);
    lua_rawgetp(L, LUA_REGISTRYINDEX, &threads_key);
    if (lua_rawgeti(L, -1, r->thread) != LUA_TTHREAD) return luaL_error(L, "the handler is gone");
    r->co = lua_tothread(L, -1);
    int base = lua_gettop(L);
    decode_all(L, r->s);
    int count = lua_gettop(L) - base;
    if (!lua_checkstack(r->co, count + 1)) return luaL_error(L, "too many values");
    lua_xmove(L, r->co, count);
    r->arguments = count;
    return 0;
}

/// Results out; the thread becomes the idle one.
static int finish(lua_State *L) {
    run *r = run_at_hand(L);
    sandbox *s = r->s;
    // What a host function was called with may stand there.
    s->output_count = 0;
    if (r->results > 0) {
        luaL_checkstack(L, r->results, "too many results");
        int base = lua_gettop(L);
        lua_xmove(r->co, L, r->results);
        sandbox_clear(&s->output);
        for (int i = 1; i <= r->results; i++) encode(L, s, base + i, false);
        s->output_count = r->results;
        lua_settop(L, base);
    }
    if (put_idle(r)) return 0;
    lua_rawgetp(L, LUA_REGISTRYINDEX, &threads_key);
    if (lua_rawgeti(L, -1, r->thread) == LUA_TTHREAD) luaL_unref(L, -2, r->thread);
    return 0;
}

static int protected_step(sandbox *s, lua_CFunction step, run *r) {
    lua_pushcfunction(s->main, step);
    lua_pushlightuserdata(s->main, r);
    return lua_pcall(s->main, 1, 0, 0);
}

static void begin(sandbox *s, bool may_wait) {
    s->limit = SANDBOX_NO_LIMIT;
    s->last_refusal = SANDBOX_NO_LIMIT;
    s->left = s->limits.instructions;
    s->deadline = s->limits.wall_time ? DEADLINE_OPEN : 0;
    s->may_wait = may_wait;
    s->is_blocked = s->is_host_waiting = s->is_stopped = false;
    s->close_depth = 0;
    s->output_count = 0;
    s->is_running = true;
}

/// A failure on the main state: preparing, or handing results over.
static int32_t fail_on_main(sandbox *s, int status) {
    note_status(s, status);
    s->line = 0;
    s->is_placed = false;
    sandbox_clear(&s->message);
    sandbox_clear(&s->traceback);
    sandbox_clear(&s->chunk);
    size_t length = 0;
    const char *text = lua_type(s->main, -1) == LUA_TSTRING ? lua_tolstring(s->main, -1, &length) : "";
    sandbox_put_raw(&s->message, text, length);
    lua_settop(s->main, 0);
    s->is_running = false;
    s->left = INT64_MAX;
    return SANDBOX_FAILED;
}

static int32_t drop_after_failure(sandbox *s, run *r) {
    s->left = INT64_MAX;
    s->is_running = false;
    r->results = 0;
    if (r->thread) protected_step(s, finish, r);
    lua_settop(s->main, 0);
    // What the failed run held goes now, so that the next one begins with room.
    if (s->limit == SANDBOX_MEMORY || s->limit == SANDBOX_STRING_LENGTH) sandbox_collect(s);
    return SANDBOX_FAILED;
}

static int32_t go_on(sandbox *s, run *r, bool wants_results, int32_t *thread) {
    int count = 0;
    int64_t allowed = s->limits.instructions;
    lua_sethook(r->co, on_count, LUA_MASKCOUNT, allowed < HOOK_INTERVAL ? (int)allowed + 1 : HOOK_INTERVAL);
    s->thread = r->co;
    int status = lua_resume(r->co, s->main, r->arguments, &count);
    s->thread = s->caller = NULL;
    s->used = s->limits.instructions - s->left;
    if (status == LUA_YIELD && s->is_host_waiting) {
        s->is_running = false;
        s->left = INT64_MAX;
        if (thread) *thread = r->thread;
        return SANDBOX_WAITING;
    }
    if (status != LUA_OK) {
        if (status == LUA_YIELD) lua_pushliteral(r->co, "attempt to yield from outside a coroutine");
        take_failure(s, r->co, status);
        return drop_after_failure(s, r);
    }
    r->results = wants_results ? count : 0;
    s->output_count = 0;
    // Nothing in this can fail: no step of its own under lua_pcall.
    if (r->results > 0 || !put_idle(r)) {
        status = protected_step(s, finish, r);
        if (status != LUA_OK) {
            int32_t result = fail_on_main(s, status);
            drop_after_failure(s, r);
            return result;
        }
    }
    s->is_running = false;
    s->left = INT64_MAX;
    return SANDBOX_DONE;
}

static int32_t start(sandbox *s, run *r, bool wants_results, bool may_wait, int32_t *thread) {
    if (s->is_running) return SANDBOX_FAILED;
    begin(s, may_wait);
    int status = protected_step(s, prepare, r);
    if (status != LUA_OK) {
        int32_t result = fail_on_main(s, status);
        if (r->thread) drop_after_failure(s, r);
        return result;
    }
    if (r->load_status != LUA_OK) {
        take_failure(s, r->co, r->load_status);
        return drop_after_failure(s, r);
    }
    return go_on(s, r, wants_results, thread);
}

int32_t sandbox_load(sandbox *s, const char *text, size_t length, const char *name, bool wants_results, bool may_wait, int32_t *thread) {
    char *kept = strdup(name[0] == '@' || name[0] == '=' ? name + 1 : name);
    free(s->chunk_names);
    s->chunk_names = kept;
    sandbox_clear(&s->input);
    run r = {.s = s, .text = text, .length = length, .name = name};
    return start(s, &r, wants_results, may_wait, thread);
}

int32_t sandbox_call(sandbox *s, int32_t function, bool wants_results, bool may_wait, int32_t *thread) {
    run r = {.s = s, .function = function};
    return start(s, &r, wants_results, may_wait, thread);
}

static int end_of_call(lua_State *L, int status, lua_KContext context) {
    (void)L, (void)status, (void)context;
    return 0;
}

/// The first function of a coroutine that gets a message: what is made for the call is made under its protection.
static int run_with_message(lua_State *L) {
    run *r = run_at_hand(L);
    push_function_reference(L, r->function);
    if (lua_type(L, -1) != LUA_TFUNCTION) return luaL_error(L, "the function is gone");
    push_reading(L, r->s, r->message, r->captures);
    // From here on the call may wait, and what `r` points to be gone.
    lua_callk(L, 1, 0, 0, end_of_call);
    return 0;
}

int32_t sandbox_call_with_message(
    sandbox *s, int32_t function, const sandbox_message *message, const sandbox_bytes *captures, int32_t *thread
) {
    run r = {.s = s, .function = function, .message = message, .captures = captures};
    if (s->is_running) return SANDBOX_FAILED;
    begin(s, true);
    if (!take_idle(&r)) {
        int status = protected_step(s, make_thread, &r);
        if (status != LUA_OK) {
            int32_t result = fail_on_main(s, status);
            if (r.thread) drop_after_failure(s, &r);
            return result;
        }
    }
    lua_pushcfunction(r.co, run_with_message);
    lua_pushlightuserdata(r.co, &r);
    r.arguments = 1;
    return go_on(s, &r, false, thread);
}

int32_t sandbox_call_named(sandbox *s, int32_t table, const char *name, bool wants_results, bool may_wait, int32_t *thread) {
    run r = {.s = s, .table = table, .name = name};
    return start(s, &r, wants_results, may_wait, thread);
}

int32_t sandbox_resume(sandbox *s, int32_t thread, bool wants_results) {
    if (s->is_running) return SANDBOX_FAILED;
    run r = {.s = s, .thread = thread};
    begin(s, true);
    int status = protected_step(s, prepare_resume, &r);
    if (status != LUA_OK) {
        int32_t result = fail_on_main(s, status);
        sandbox_drop(s, thread);
        return result;
    }
    int32_t same = thread;
    return go_on(s, &r, wants_results, &same);
}

static int drop_thread(lua_State *L) {
    run *r = run_at_hand(L);
    lua_rawgetp(L, LUA_REGISTRYINDEX, &threads_key);
    // A place that was given back already holds a number.
    if (lua_rawgeti(L, -1, r->thread) == LUA_TTHREAD) luaL_unref(L, -2, r->thread);
    return 0;
}

void sandbox_drop(sandbox *s, int32_t thread) {
    run r = {.s = s, .thread = thread};
    protected_step(s, drop_thread, &r);
    lua_settop(s->main, 0);
}

static int release_function(lua_State *L) {
    luaL_unref(L, LUA_REGISTRYINDEX, run_at_hand(L)->function);
    return 0;
}

void sandbox_release(sandbox *s, int32_t function) {
    run r = {.s = s, .function = function};
    lua_State *L = s->caller ? s->caller : s->main;
    if (!lua_checkstack(L, 8)) return;
    lua_pushcfunction(L, release_function);
    lua_pushlightuserdata(L, &r);
    if (lua_pcall(L, 1, 0, 0) != LUA_OK) lua_pop(L, 1);
}

static int collect_all(lua_State *L) {
    lua_gc(L, LUA_GCCOLLECT);
    return 0;
}

void sandbox_collect(sandbox *s) {
    run r = {.s = s};
    if (!s->is_running) protected_step(s, collect_all, &r);
}

void sandbox_stop(sandbox *s) { s->is_stopped = true; }

bool sandbox_may_wait(const sandbox *s) { return s->may_wait && !s->is_blocked && s->caller && lua_isyieldable(s->caller); }

int32_t sandbox_caller_line(sandbox *s) {
    lua_Debug ar;
    for (int level = 0; s->caller && lua_getstack(s->caller, level, &ar); level++) {
        lua_getinfo(s->caller, "Sl", &ar);
        if (ar.currentline < 0) continue;
        sandbox_clear(&s->chunk);
        put_text(&s->chunk, ar.source[0] == '@' || ar.source[0] == '=' ? ar.source + 1 : ar.short_src);
        return ar.currentline;
    }
    return 0;
}
