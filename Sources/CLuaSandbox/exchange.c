// Values in and out of Lua, and calls of host functions.
#include "internal.h"
#include <math.h>

const char array_marker;
static const char handles_key;

#define DEEPEST 32

// MARK: Out

static void encode_value(lua_State *L, sandbox *s, int index, bool takes_functions, int depth);

static void check_size(lua_State *L, sandbox *s, size_t more) {
    if (more > s->limits.exchange || s->output.count > s->limits.exchange - more)
        luaL_error(L, "values of more than %d bytes cannot be handed over at once", (int)s->limits.exchange);
}

static bool is_sequence(lua_State *L, int index, lua_Unsigned *length) {
    lua_Unsigned count = 0;
    *length = lua_rawlen(L, index);
    bool marked = false;
    if (lua_getmetatable(L, index)) {
        lua_rawgetp(L, LUA_REGISTRYINDEX, &array_marker);
        marked = lua_rawequal(L, -1, -2);
        lua_pop(L, 2);
    }
    if (*length == 0) {
        lua_pushnil(L);
        bool is_empty = !lua_next(L, index);
        if (!is_empty) lua_pop(L, 2);
        return marked && is_empty;
    }
    for (lua_pushnil(L); lua_next(L, index); lua_pop(L, 1)) {
        if (!lua_isinteger(L, -2) || lua_tointeger(L, -2) < 1 || (lua_Unsigned)lua_tointeger(L, -2) > *length) {
            lua_pop(L, 2);
            return false;
        }
        count++;
    }
    return count == *length;
}

static void encode_sequence(lua_State *L, sandbox *s, int index, lua_Unsigned length, bool takes_functions, int depth) {
    charge(L, s, (int64_t)length);
    sandbox_put_count(&s->output, SANDBOX_ARRAY, (uint32_t)length);
    for (lua_Unsigned i = 1; i <= length; i++) {
        lua_rawgeti(L, index, (lua_Integer)i);
        encode_value(L, s, lua_gettop(L), takes_functions, depth + 1);
        lua_pop(L, 1);
    }
}

static void encode_members(lua_State *L, sandbox *s, int index, bool takes_functions, int depth) {
    size_t count = sorted_keys(L, s, index);
    table_key *keys = s->keys;
    bool has_numbers = count > 0 && keys[0].kind < 2, has_names = count > 0 && keys[count - 1].kind == 2;
    if (has_numbers && has_names) luaL_error(L, "a table with both numbers and names as keys cannot be handed over");
    if (count > 0 && keys[count - 1].kind > 2) luaL_error(L, "a key must be a string or a number, not a boolean");
    sandbox_put_count(&s->output, SANDBOX_OBJECT, (uint32_t)count);
    // The scratch is used again for nested tables: the keys are put aside on the stack first.
    lua_createtable(L, (int)count, 0);
    int list = lua_gettop(L);
    for (size_t i = 0; i < count; i++) {
        push_key(L, &keys[i]);
        lua_rawseti(L, list, (lua_Integer)i + 1);
    }
    for (size_t i = 0; i < count; i++) {
        lua_rawgeti(L, list, (lua_Integer)i + 1);
        lua_pushvalue(L, -1);
        lua_rawget(L, index);
        int value = lua_gettop(L);
        size_t length;
        const char *name = lua_type(L, value - 1) == LUA_TSTRING ? lua_tolstring(L, value - 1, &length) : NULL;
        if (name) {
            sandbox_put_name(&s->output, name, (uint32_t)length);
        } else {
            lua_pushvalue(L, value - 1);
            name = lua_tolstring(L, -1, &length);
            sandbox_put_name(&s->output, name, (uint32_t)length);
            lua_pop(L, 1);
        }
        encode_value(L, s, value, takes_functions, depth + 1);
        lua_pop(L, 2);
    }
    lua_pop(L, 1);
}

static bool encode_handle(lua_State *L, sandbox *s, int index) {
    if (!lua_getmetatable(L, index)) return false;
    bool is_handle = lua_rawgetp(L, -1, &handles_key) == LUA_TNUMBER;
    int32_t class_number = (int32_t)lua_tointeger(L, -1);
    lua_pop(L, 2);
    if (!is_handle) return false;
    sandbox_put_handle(&s->output, class_number, *(int64_t *)lua_touserdata(L, index));
    return true;
}

static void encode_value(lua_State *L, sandbox *s, int index, bool takes_functions, int depth) {
    if (depth > DEEPEST) luaL_error(L, "a table that is nested deeper than %d (or holds itself) cannot be handed over", DEEPEST);
    luaL_checkstack(L, 8, "values nested too deep");
    charge(L, s, 1);
    switch (lua_type(L, index)) {
    case LUA_TNIL: sandbox_put_tag(&s->output, SANDBOX_NIL); break;
    case LUA_TBOOLEAN: sandbox_put_tag(&s->output, lua_toboolean(L, index) ? SANDBOX_TRUE : SANDBOX_FALSE); break;
    case LUA_TNUMBER:
        if (lua_isinteger(L, index)) sandbox_put_integer(&s->output, lua_tointeger(L, index));
        else sandbox_put_number(&s->output, lua_tonumber(L, index));
        break;
    case LUA_TSTRING: {
        size_t length;
        const char *text = lua_tolstring(L, index, &length);
        charge(L, s, (int64_t)(length >> 5));
        check_size(L, s, length);
        sandbox_put_string(&s->output, text, (uint32_t)length);
        break;
    }
    case LUA_TTABLE: {
        lua_Unsigned length;
        // Going through what once was a big table takes long, and nothing of it counts.
        check_time(L, s);
        complete_reading(L, s, index);
        if (is_sequence(L, index, &length)) encode_sequence(L, s, index, length, takes_functions, depth);
        else encode_members(L, s, index, takes_functions, depth);
        break;
    }
    case LUA_TLIGHTUSERDATA:
        if (lua_touserdata(L, index)) luaL_error(L, "such a value cannot be handed over");
        sandbox_put_tag(&s->output, SANDBOX_NULL);
        break;
    case LUA_TFUNCTION:
        if (!takes_functions) luaL_error(L, "a function cannot be handed over or stored");
        lua_pushvalue(L, index);
        sandbox_put_reference(&s->output, SANDBOX_FUNCTION, luaL_ref(L, LUA_REGISTRYINDEX));
        break;
    case LUA_TUSERDATA:
        if (!encode_handle(L, s, index)) luaL_error(L, "such a value cannot be handed over");
        break;
    default: luaL_error(L, "a %s cannot be handed over or stored", luaL_typename(L, index));
    }
    check_size(L, s, 0);
}

void encode(lua_State *L, sandbox *s, int index, bool takes_functions) { encode_value(L, s, index, takes_functions, 0); }

// MARK: In

typedef struct {
    const uint8_t *at, *end;
} reader;

static uint32_t take_count(reader *r) {
    uint32_t count;
    memcpy(&count, r->at, 4);
    r->at += 4;
    return count;
}

void push_function_reference(lua_State *L, int32_t reference) { lua_rawgeti(L, LUA_REGISTRYINDEX, reference); }

static void push_handle(lua_State *L, reader *r) {
    int32_t class_number = (int32_t)take_count(r);
    int64_t number;
    memcpy(&number, r->at, 8);
    r->at += 8;
    *(int64_t *)lua_newuserdatauv(L, sizeof(int64_t), 0) = number;
    lua_rawgetp(L, LUA_REGISTRYINDEX, &handles_key);
    lua_rawgeti(L, -1, class_number);
    lua_remove(L, -2);
    if (lua_type(L, -1) == LUA_TTABLE) lua_setmetatable(L, -2);
    else lua_pop(L, 1);
}

static void decode_value(lua_State *L, reader *r, int depth, bool in_array) {
    if (depth > 200) luaL_error(L, "values nested too deep");
    luaL_checkstack(L, 6, "values nested too deep");
    switch (*r->at++) {
    case SANDBOX_FALSE: lua_pushboolean(L, 0); break;
    case SANDBOX_TRUE: lua_pushboolean(L, 1); break;
    case SANDBOX_INTEGER: {
        int64_t value;
        memcpy(&value, r->at, 8);
        r->at += 8;
        lua_pushinteger(L, value);
        break;
    }
    case SANDBOX_NUMBER: {
        double value;
        memcpy(&value, r->at, 8);
        r->at += 8;
        lua_pushnumber(L, value);
        break;
    }
    case SANDBOX_STRING: {
        uint32_t length = take_count(r);
        const char *text = (const char *)r->at;
        r->at += length;
        lua_pushlstring(L, text, length);
        break;
    }
    case SANDBOX_ARRAY: {
        uint32_t count = take_count(r);
        lua_createtable(L, (int)(count & 0x7fffffff), 0);
        for (uint32_t i = 1; i <= count; i++) {
            decode_value(L, r, depth + 1, true);
            lua_rawseti(L, -2, i);
        }
        lua_rawgetp(L, LUA_REGISTRYINDEX, &array_marker);
        lua_setmetatable(L, -2);
        break;
    }
    case SANDBOX_OBJECT: {
        uint32_t count = take_count(r);
        lua_createtable(L, 0, (int)(count & 0x7fffffff));
        for (uint32_t i = 0; i < count; i++) {
            uint32_t length = take_count(r);
            const char *name = (const char *)r->at;
            r->at += length;
            lua_pushlstring(L, name, length);
            decode_value(L, r, depth + 1, false);
            lua_rawset(L, -3);
        }
        break;
    }
    case SANDBOX_NULL:
        if (in_array) lua_pushlightuserdata(L, NULL);
        else lua_pushnil(L);
        break;
    case SANDBOX_FUNCTION: push_function_reference(L, (int32_t)take_count(r)); break;
    case SANDBOX_HANDLE: push_handle(L, r); break;
    default: lua_pushnil(L);
    }
}

void decode_at(lua_State *L, const uint8_t *at) {
    reader r = {at, NULL};
    decode_value(L, &r, 0, false);
}

/// Pushes everything that `input` holds.
int decode_all(lua_State *L, sandbox *s) {
    reader r = {s->input.base, s->input.base + s->input.count};
    int count = 0;
    while (r.at < r.end) {
        decode_value(L, &r, 0, false);
        count++;
    }
    s->input.count = 0;
    return count;
}

// MARK: Host functions

static int call_host(lua_State *L) {
    sandbox *s = owner(L);
    int count = lua_gettop(L);
    bool takes_functions = lua_toboolean(L, lua_upvalueindex(2));
    charge(L, s, 20);
    sandbox_clear(&s->output);
    for (int i = 1; i <= count; i++) encode(L, s, i, takes_functions);
    s->output_count = count;
    sandbox_clear(&s->input);
    lua_State *outer = s->caller;
    s->caller = L;
    int32_t answer = s->host(s->user, (int32_t)lua_tointeger(L, lua_upvalueindex(1)), count);
    s->caller = outer;
    // What the host did may have been charged, and may have taken long.
    charge(L, s, 0);
    check_time(L, s);
    switch (answer) {
    case SANDBOX_RETURN: return decode_all(L, s);
    case SANDBOX_WAIT:
        s->is_host_waiting = true;
        return lua_yield(L, 0);
    case SANDBOX_EXCEED:
        sandbox_clear(&s->message);
        sandbox_put_raw(&s->message, s->input.base, s->input.count);
        sandbox_clear(&s->input);
        raise_limit(L, s, SANDBOX_HOST_LIMIT);
    default:
        luaL_where(L, 1);
        lua_pushlstring(L, (const char *)s->input.base, s->input.count);
        sandbox_clear(&s->input);
        lua_concat(L, 2);
        return lua_error(L);
    }
}

typedef struct {
    sandbox *s;
    const char *path, *class_name;
    int32_t function, class_number;
    bool takes_functions;
} definition;

/// Pushes the table that `path` belongs to, making the library when there is none; gives the last part of the path.
static const char *push_library(lua_State *L, const char *path) {
    lua_pushglobaltable(L);
    const char *dot = strchr(path, '.');
    if (!dot) return path;
    lua_pushlstring(L, path, (size_t)(dot - path));
    lua_pushvalue(L, -1);
    if (lua_rawget(L, -3) != LUA_TTABLE) {
        lua_pop(L, 1);
        lua_newtable(L);
        lua_pushvalue(L, -2);
        lua_pushvalue(L, -2);
        lua_rawset(L, -5);
    }
    return dot + 1;
}

static int define_function(lua_State *L) {
    definition *d = lua_touserdata(L, 1);
    const char *name = push_library(L, d->path);
    lua_pushinteger(L, d->function);
    lua_pushboolean(L, d->takes_functions);
    lua_pushcclosure(L, call_host, 2);
    lua_setfield(L, -2, name);
    return 0;
}

static int set_value(lua_State *L) {
    definition *d = lua_touserdata(L, 1);
    const char *name = push_library(L, d->path);
    int base = lua_gettop(L);
    bool is_null = d->s->input.count == 1 && d->s->input.base[0] == SANDBOX_NULL;
    decode_all(L, d->s);
    lua_settop(L, base + 1);
    // A global that is JSON's null is the value itself (`json.null`).
    if (is_null) {
        lua_pushlightuserdata(L, NULL);
        lua_replace(L, -2);
    }
    lua_setfield(L, -2, name);
    return 0;
}

static int get_value(lua_State *L) {
    definition *d = lua_touserdata(L, 1);
    lua_pushglobaltable(L);
    lua_pushstring(L, d->path);
    lua_rawget(L, -2);
    sandbox_clear(&d->s->output);
    encode(L, d->s, lua_gettop(L), false);
    d->s->output_count = 1;
    return 0;
}

static int refuse_change(lua_State *L) { return luaL_error(L, "nothing can be set in this value"); }

static int define_method(lua_State *L) {
    definition *d = lua_touserdata(L, 1);
    if (lua_rawgetp(L, LUA_REGISTRYINDEX, &handles_key) != LUA_TTABLE) {
        lua_newtable(L);
        lua_pushvalue(L, -1);
        lua_rawsetp(L, LUA_REGISTRYINDEX, &handles_key);
    }
    if (lua_rawgeti(L, -1, d->class_number) != LUA_TTABLE) {
        lua_pop(L, 1);
        lua_newtable(L);
        lua_pushstring(L, d->class_name);
        lua_setfield(L, -2, "__name");
        lua_pushstring(L, d->class_name);
        lua_setfield(L, -2, "__metatable");
        lua_pushcfunction(L, refuse_change);
        lua_setfield(L, -2, "__newindex");
        lua_pushinteger(L, d->class_number);
        lua_rawsetp(L, -2, &handles_key);
        lua_newtable(L);
        lua_setfield(L, -2, "__index");
        lua_pushvalue(L, -1);
        lua_rawseti(L, -3, d->class_number);
    }
    lua_getfield(L, -1, "__index");
    lua_pushinteger(L, d->function);
    lua_pushboolean(L, true);
    lua_pushcclosure(L, call_host, 2);
    lua_setfield(L, -2, d->path);
    return 0;
}

static bool on_main(sandbox *s, lua_CFunction step, definition *d) {
    if (s->is_running) return false;
    s->left = INT64_MAX;
    s->limit = SANDBOX_NO_LIMIT;
    lua_pushcfunction(s->main, step);
    lua_pushlightuserdata(s->main, d);
    bool is_done = lua_pcall(s->main, 1, 0, 0) == LUA_OK;
    if (!is_done) {
        size_t length = 0;
        const char *text = lua_type(s->main, -1) == LUA_TSTRING ? lua_tolstring(s->main, -1, &length) : "";
        sandbox_clear(&s->message);
        sandbox_put_raw(&s->message, text, length);
    }
    lua_settop(s->main, 0);
    return is_done;
}

bool sandbox_define(sandbox *s, const char *path, int32_t function, bool takes_functions) {
    definition d = {.s = s, .path = path, .function = function, .takes_functions = takes_functions};
    return on_main(s, define_function, &d);
}

bool sandbox_define_method(sandbox *s, int32_t class_number, const char *class_name, const char *name, int32_t function) {
    definition d = {.s = s, .path = name, .class_name = class_name, .function = function, .class_number = class_number};
    return on_main(s, define_method, &d);
}

bool sandbox_set(sandbox *s, const char *path) {
    definition d = {.s = s, .path = path};
    return on_main(s, set_value, &d);
}

bool sandbox_get(sandbox *s, const char *name) {
    definition d = {.s = s, .path = name};
    return on_main(s, get_value, &d);
}
