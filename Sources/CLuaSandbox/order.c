// The defined order of a table's keys: numbers, then strings by their bytes, then false and true. Lua's own order depends on a seed that
// differs from run to run.
#include "internal.h"

enum { INTEGER_KEY = 0, FLOAT_KEY = 1, STRING_KEY = 2, BOOLEAN_KEY = 3 };

static int compare_keys(const void *left, const void *right) {
    const table_key *a = left, *b = right;
    int rank_a = a->kind < STRING_KEY ? 0 : a->kind, rank_b = b->kind < STRING_KEY ? 0 : b->kind;
    if (rank_a != rank_b) return rank_a < rank_b ? -1 : 1;
    if (a->kind == STRING_KEY) {
        size_t shorter = a->length < b->length ? a->length : b->length;
        int order = memcmp(a->text, b->text, shorter);
        return order ? order : a->length < b->length ? -1 : a->length > b->length;
    }
    if (a->kind != FLOAT_KEY && b->kind != FLOAT_KEY) return a->integer < b->integer ? -1 : a->integer > b->integer;
    lua_Number x = a->kind == FLOAT_KEY ? a->number : (lua_Number)a->integer, y = b->kind == FLOAT_KEY ? b->number : (lua_Number)b->integer;
    return x < y ? -1 : x > y ? 1 : a->kind - b->kind;
}

/// The key at `index`; false for one that has no place in the order.
static bool read_key(lua_State *L, int index, table_key *key) {
    switch (lua_type(L, index)) {
    case LUA_TNUMBER:
        if (lua_isinteger(L, index)) {
            key->kind = INTEGER_KEY;
            key->integer = lua_tointeger(L, index);
        } else {
            key->kind = FLOAT_KEY;
            key->number = lua_tonumber(L, index);
        }
        return true;
    case LUA_TSTRING:
        key->kind = STRING_KEY;
        key->text = lua_tolstring(L, index, &key->length);
        return true;
    case LUA_TBOOLEAN:
        key->kind = BOOLEAN_KEY;
        key->integer = lua_toboolean(L, index);
        return true;
    default: return false;
    }
}

static _Noreturn void refuse_key(lua_State *L, int index) {
    luaL_error(L, "a table with a %s as a key has no order to go through: use strings or numbers", luaL_typename(L, index));
    abort();
}

void push_key(lua_State *L, const table_key *key) {
    switch (key->kind) {
    case INTEGER_KEY: lua_pushinteger(L, key->integer); break;
    case FLOAT_KEY: lua_pushnumber(L, key->number); break;
    case STRING_KEY: lua_pushlstring(L, key->text, key->length); break;
    default: lua_pushboolean(L, (int)key->integer);
    }
}

size_t sorted_keys(lua_State *L, sandbox *s, int index) {
    size_t count = 0;
    bool is_sorted = true;
    for (lua_pushnil(L); lua_next(L, index); lua_pop(L, 1)) {
        charge(L, s, 1);
        if (count == s->key_capacity) {
            size_t capacity = s->key_capacity ? s->key_capacity * 2 : 64;
            void *grown = realloc(s->keys, capacity * sizeof(table_key));
            if (!grown) luaL_error(L, "not enough memory");
            s->keys = grown;
            s->key_capacity = capacity;
        }
        table_key *keys = s->keys;
        if (!read_key(L, -2, &keys[count])) refuse_key(L, -2);
        if (count > 0 && compare_keys(&keys[count - 1], &keys[count]) > 0) is_sorted = false;
        count++;
    }
    if (!is_sorted) {
        int64_t cost = 0;
        for (size_t n = count; n; n >>= 1) cost += (int64_t)count;
        charge(L, s, cost);
        qsort(s->keys, count, sizeof(table_key), compare_keys);
    }
    return count;
}

/// The smallest key that is greater than the one given: the same order as that of `pairs`, without keeping anything.
int base_next(lua_State *L) {
    sandbox *s = owner(L);
    luaL_checktype(L, 1, LUA_TTABLE);
    lua_settop(L, 2);
    // Places that are empty count for nothing, and there may be many.
    check_time(L, s);
    complete_reading(L, s, 1);
    table_key from, best, key;
    bool has_from = !lua_isnil(L, 2), has_best = false;
    if (has_from && !read_key(L, 2, &from)) refuse_key(L, 2);
    for (lua_pushnil(L); lua_next(L, 1); lua_pop(L, 1)) {
        charge(L, s, 1);
        if (!read_key(L, -2, &key)) refuse_key(L, -2);
        if (has_from && compare_keys(&key, &from) <= 0) continue;
        if (has_best && compare_keys(&key, &best) >= 0) continue;
        best = key;
        has_best = true;
    }
    if (!has_best) {
        lua_pushnil(L);
        return 1;
    }
    push_key(L, &best);
    lua_pushvalue(L, -1);
    lua_rawget(L, 1);
    return 2;
}

/// The iterator of `pairs`: the list of keys and the place in it are its upvalues; keys that went meanwhile are left out.
static int next_of_list(lua_State *L) {
    sandbox *s = owner(L);
    lua_Integer place = lua_tointeger(L, lua_upvalueindex(2));
    lua_settop(L, 1);
    while (true) {
        place++;
        charge(L, s, 1);
        if (lua_rawgeti(L, lua_upvalueindex(1), place) == LUA_TNIL) return 1;
        lua_pushvalue(L, -1);
        if (lua_rawget(L, 1) != LUA_TNIL) break;
        lua_pop(L, 2);
    }
    lua_pushinteger(L, place);
    lua_replace(L, lua_upvalueindex(2));
    return 2;
}

static int end_of_pairs(lua_State *L, int status, lua_KContext context) {
    (void)L, (void)status, (void)context;
    return 3;
}

int base_pairs(lua_State *L) {
    sandbox *s = owner(L);
    luaL_checkany(L, 1);
    if (luaL_getmetafield(L, 1, "__pairs") != LUA_TNIL) {
        lua_pushvalue(L, 1);
        lua_callk(L, 1, 3, 0, end_of_pairs);
        return 3;
    }
    luaL_checktype(L, 1, LUA_TTABLE);
    check_time(L, s);
    complete_reading(L, s, 1);
    size_t count = sorted_keys(L, s, 1);
    lua_createtable(L, (int)count, 0);
    for (size_t i = 0; i < count; i++) {
        push_key(L, (table_key *)s->keys + i);
        lua_rawseti(L, -2, (lua_Integer)i + 1);
    }
    lua_pushinteger(L, 0);
    lua_pushcclosure(L, next_of_list, 2);
    lua_pushvalue(L, 1);
    lua_pushnil(L);
    return 3;
}
