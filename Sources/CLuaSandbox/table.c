// `table`: every element that is touched counts, sorting is a merge sort (stable, and never quadratic).
#include "internal.h"

static lua_Integer checked_length(lua_State *L, int index) {
    luaL_checktype(L, index, LUA_TTABLE);
    return luaL_len(L, index);
}

static int table_insert(lua_State *L) {
    sandbox *s = owner(L);
    lua_Integer place, end = (lua_Integer)((lua_Unsigned)checked_length(L, 1) + 1);
    charge(L, s, 2);
    switch (lua_gettop(L)) {
    case 2: place = end; break;
    case 3:
        place = luaL_checkinteger(L, 2);
        luaL_argcheck(L, (lua_Unsigned)place - 1u < (lua_Unsigned)end, 2, "position out of bounds");
        for (lua_Integer i = end; i > place; i--) {
            charge(L, s, 1);
            lua_geti(L, 1, i - 1);
            lua_seti(L, 1, i);
        }
        break;
    default: return luaL_error(L, "wrong number of arguments to 'insert'");
    }
    lua_seti(L, 1, place);
    return 0;
}

static int table_remove(lua_State *L) {
    sandbox *s = owner(L);
    lua_Integer size = checked_length(L, 1), place = luaL_optinteger(L, 2, size);
    charge(L, s, 2);
    if (place != size) luaL_argcheck(L, (lua_Unsigned)place - 1u <= (lua_Unsigned)size, 2, "position out of bounds");
    lua_geti(L, 1, place);
    for (; place < size; place++) {
        charge(L, s, 1);
        lua_geti(L, 1, place + 1);
        lua_seti(L, 1, place);
    }
    lua_pushnil(L);
    lua_seti(L, 1, place);
    return 1;
}

static int table_move(lua_State *L) {
    sandbox *s = owner(L);
    lua_Integer from = luaL_checkinteger(L, 2), end = luaL_checkinteger(L, 3), to = luaL_checkinteger(L, 4);
    int target = lua_isnoneornil(L, 5) ? 1 : 5;
    luaL_checktype(L, 1, LUA_TTABLE);
    luaL_checktype(L, target, LUA_TTABLE);
    if (end >= from) {
        luaL_argcheck(L, from > 0 || end < LUA_MAXINTEGER + from, 3, "too many elements to move");
        luaL_argcheck(L, to <= LUA_MAXINTEGER - (end - from + 1) + 1, 4, "destination wrap around");
        bool is_forward = to > end || to <= from || (target != 1 && !lua_compare(L, 1, target, LUA_OPEQ));
        lua_Integer count = end - from + 1;
        for (lua_Integer i = 0; i < count; i++) {
            lua_Integer place = is_forward ? i : count - 1 - i;
            charge(L, s, 1);
            lua_geti(L, 1, from + place);
            lua_seti(L, target, to + place);
        }
    }
    lua_pushvalue(L, target);
    return 1;
}

static void add_element(lua_State *L, luaL_Buffer *buffer, lua_Integer i) {
    lua_geti(L, 1, i);
    if (!lua_isstring(L, -1)) luaL_error(L, "invalid value (%s) at index %I in table for 'concat'", luaL_typename(L, -1), (LUAI_UACINT)i);
    luaL_addvalue(buffer);
}

static int table_concat(lua_State *L) {
    sandbox *s = owner(L);
    lua_Integer end = checked_length(L, 1);
    size_t length;
    const char *separator = luaL_optlstring(L, 2, "", &length);
    lua_Integer i = luaL_optinteger(L, 3, 1);
    end = luaL_optinteger(L, 4, end);
    luaL_Buffer buffer;
    luaL_buffinit(L, &buffer);
    for (; i < end; i++) {
        charge(L, s, 1 + (int64_t)(length >> 4));
        add_element(L, &buffer, i);
        luaL_addlstring(&buffer, separator, length);
    }
    if (i == end) add_element(L, &buffer, i);
    luaL_pushresult(&buffer);
    return 1;
}

static int table_pack(lua_State *L) {
    int count = lua_gettop(L);
    charge(L, owner(L), count);
    lua_createtable(L, count, 1);
    lua_insert(L, 1);
    for (int i = count; i >= 1; i--) lua_seti(L, 1, i);
    lua_pushinteger(L, count);
    lua_setfield(L, 1, "n");
    return 1;
}

static int table_unpack(lua_State *L) {
    lua_Integer from = luaL_optinteger(L, 2, 1), end = luaL_opt(L, luaL_checkinteger, 3, luaL_len(L, 1));
    if (from > end) return 0;
    lua_Unsigned count = (lua_Unsigned)end - (lua_Unsigned)from;
    if (count >= 100000) return luaL_error(L, "too many results to unpack");
    charge(L, owner(L), (int64_t)count + 1);
    if (!lua_checkstack(L, (int)++count)) return luaL_error(L, "too many results to unpack");
    for (; from < end; from++) lua_geti(L, 1, from);
    lua_geti(L, 1, end);
    return (int)count;
}

// MARK: sort. Stack: 1 the table, 2 the comparison or nil, 3 the elements, 4 room.

/// Whether element `b` of table `index` belongs before element `a`.
static bool is_before(lua_State *L, sandbox *s, int index, lua_Integer b, lua_Integer a) {
    charge(L, s, 3);
    bool result;
    if (lua_isnil(L, 2)) {
        lua_rawgeti(L, index, b);
        lua_rawgeti(L, index, a);
        result = lua_compare(L, -2, -1, LUA_OPLT);
        lua_pop(L, 2);
    } else {
        lua_pushvalue(L, 2);
        lua_rawgeti(L, index, b);
        lua_rawgeti(L, index, a);
        lua_call(L, 2, 1);
        result = lua_toboolean(L, -1);
        lua_pop(L, 1);
    }
    return result;
}

static void merge(lua_State *L, sandbox *s, int from, int to, lua_Integer low, lua_Integer middle, lua_Integer high) {
    lua_Integer left = low, right = middle;
    for (lua_Integer place = low; place < high; place++) {
        bool takes_right = right < high && (left >= middle || is_before(L, s, from, right, left));
        lua_rawgeti(L, from, takes_right ? right++ : left++);
        lua_rawseti(L, to, place);
    }
    charge(L, s, high - low);
}

static int table_sort(lua_State *L) {
    sandbox *s = owner(L);
    lua_Integer count = checked_length(L, 1);
    if (!lua_isnoneornil(L, 2)) luaL_checktype(L, 2, LUA_TFUNCTION);
    lua_settop(L, 2);
    if (count < 2) return 0;
    luaL_argcheck(L, count < INT32_MAX, 1, "array too big");
    charge(L, s, count);
    lua_createtable(L, 0, 0);
    for (lua_Integer i = 1; i <= count; i++) {
        charge(L, s, 1);
        lua_geti(L, 1, i);
        lua_rawseti(L, 3, i);
    }
    lua_createtable(L, (int)count, 0);
    int from = 3, to = 4;
    for (lua_Integer width = 1; width < count; width *= 2) {
        for (lua_Integer low = 1; low <= count; low += 2 * width) {
            lua_Integer middle = low + width < count + 1 ? low + width : count + 1;
            lua_Integer high = low + 2 * width < count + 1 ? low + 2 * width : count + 1;
            merge(L, s, from, to, low, middle, high);
        }
        from = to;
        to = 7 - from;
    }
    for (lua_Integer i = 1; i <= count; i++) {
        lua_rawgeti(L, from, i);
        lua_seti(L, 1, i);
    }
    return 0;
}

void open_table(lua_State *L) {
    static const luaL_Reg own[] = {
        {"insert", table_insert}, {"remove", table_remove}, {"move", table_move}, {"concat", table_concat},
        {"pack", table_pack}, {"unpack", table_unpack}, {"sort", table_sort}, {NULL, NULL},
    };
    luaL_setfuncs(L, own, 0);
}
