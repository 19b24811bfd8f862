// The functions without a library, and `coroutine`, `math`: those of Lua that are safe, and others in place of those that are not.
#include "internal.h"
#include <limits.h>
#include <math.h>
#include <stdio.h>

// MARK: Text of values

const char *push_text(lua_State *L, int index, size_t *length) {
    index = lua_absindex(L, index);
    if (luaL_callmeta(L, index, "__tostring")) {
        if (!lua_isstring(L, -1)) luaL_error(L, "'__tostring' must return a string");
        return lua_tolstring(L, -1, length);
    }
    switch (lua_type(L, index)) {
    case LUA_TNIL: lua_pushliteral(L, "nil"); break;
    case LUA_TBOOLEAN: lua_pushstring(L, lua_toboolean(L, index) ? "true" : "false"); break;
    case LUA_TSTRING: lua_pushvalue(L, index); break;
    case LUA_TNUMBER:
        if (!lua_isinteger(L, index) && isnan(lua_tonumber(L, index))) lua_pushliteral(L, "nan");
        else lua_pushvalue(L, index);
        break;
    case LUA_TLIGHTUSERDATA: lua_pushstring(L, lua_touserdata(L, index) ? "userdata" : "null"); break;
    default:
        // No addresses: they differ from run to run.
        if (luaL_getmetafield(L, index, "__name") != LUA_TSTRING) lua_pushstring(L, luaL_typename(L, index));
    }
    return lua_tolstring(L, -1, length);
}

static int base_tostring(lua_State *L) {
    luaL_checkany(L, 1);
    push_text(L, 1, NULL);
    return 1;
}

// MARK: Protected calls that catch no limit

static int finish_pcall(lua_State *L, int status, lua_KContext left_out) {
    sandbox *s = owner(L);
    note_status(s, status);
    if (s->limit) raise_limit(L, s, s->limit);
    if (status != LUA_OK && status != LUA_YIELD) {
        lua_pushboolean(L, false);
        lua_pushvalue(L, -2);
        return 2;
    }
    return lua_gettop(L) - (int)left_out;
}

static int base_pcall(lua_State *L) {
    luaL_checkany(L, 1);
    charge(L, owner(L), 5);
    lua_pushboolean(L, true);
    lua_insert(L, 1);
    int status = lua_pcallk(L, lua_gettop(L) - 2, LUA_MULTRET, 0, 0, finish_pcall);
    return finish_pcall(L, status, 0);
}

/// A message handler runs where the error was raised, for a limit with the hook switched off: then it must not run at all.
static int guarded_handler(lua_State *L) {
    sandbox *s = owner(L);
    if (s->limit || is_limit_marker(L, 1)) return 1;
    lua_pushvalue(L, lua_upvalueindex(1));
    lua_insert(L, 1);
    lua_call(L, lua_gettop(L) - 1, 1);
    return 1;
}

static int base_xpcall(lua_State *L) {
    int count = lua_gettop(L);
    luaL_checktype(L, 2, LUA_TFUNCTION);
    charge(L, owner(L), 5);
    lua_pushvalue(L, 2);
    lua_pushcclosure(L, guarded_handler, 1);
    lua_replace(L, 2);
    lua_pushboolean(L, true);
    lua_pushvalue(L, 1);
    lua_rotate(L, 3, 2);
    int status = lua_pcallk(L, count - 2, LUA_MULTRET, 2, 2, finish_pcall);
    return finish_pcall(L, status, 2);
}

// MARK: Metatables

static int base_getmetatable(lua_State *L) {
    luaL_checkany(L, 1);
    complete_reading(L, owner(L), 1);
    if (!lua_getmetatable(L, 1)) lua_pushnil(L);
    else luaL_getmetafield(L, 1, "__metatable");
    return 1;
}

static int base_rawget(lua_State *L) {
    luaL_checktype(L, 1, LUA_TTABLE);
    luaL_checkany(L, 2);
    lua_settop(L, 2);
    complete_reading(L, owner(L), 1);
    lua_rawget(L, 1);
    return 1;
}

static int base_rawset(lua_State *L) {
    luaL_checktype(L, 1, LUA_TTABLE);
    luaL_checkany(L, 2);
    luaL_checkany(L, 3);
    lua_settop(L, 3);
    complete_reading(L, owner(L), 1);
    lua_rawset(L, 1);
    return 1;
}

static int base_setmetatable(lua_State *L) {
    int type = lua_type(L, 2);
    luaL_checktype(L, 1, LUA_TTABLE);
    complete_reading(L, owner(L), 1);
    luaL_argexpected(L, type == LUA_TNIL || type == LUA_TTABLE, 2, "nil or table");
    if (luaL_getmetafield(L, 1, "__metatable") != LUA_TNIL) return luaL_error(L, "cannot change a protected metatable");
    if (type == LUA_TTABLE) {
        lua_pushliteral(L, "__gc");
        if (lua_rawget(L, 2) != LUA_TNIL) return luaL_error(L, "'__gc' is not available to scripts");
        lua_pushliteral(L, "__mode");
        if (lua_rawget(L, 2) != LUA_TNIL) return luaL_error(L, "'__mode' (weak tables) is not available to scripts");
    }
    lua_settop(L, 2);
    lua_setmetatable(L, 1);
    return 1;
}

static int not_available(lua_State *L) {
    return luaL_error(L, "'%s' is not available to scripts", lua_tostring(L, lua_upvalueindex(1)));
}

/// A stock function that does work in proportion to its strings, without looping for longer: what it does is counted.
static int metered(lua_State *L) {
    int64_t cost = 5;
    for (int i = lua_gettop(L); i > 0; i--)
        if (lua_type(L, i) == LUA_TSTRING) cost += (int64_t)(lua_rawlen(L, i) >> 3);
    charge(L, owner(L), cost);
    return lua_tocfunction(L, lua_upvalueindex(1))(L);
}

/// Takes functions of a stock library (on top of the stack) into the table below it.
static void take(lua_State *L, const char *const *names, bool is_metered) {
    for (; *names; names++) {
        lua_getfield(L, -1, *names);
        if (is_metered) lua_pushcclosure(L, metered, 1);
        lua_setfield(L, -3, *names);
    }
}

/// Opens a stock library for a moment; it stays on the stack and is registered nowhere.
static void borrow(lua_State *L, lua_CFunction open) {
    lua_pushcfunction(L, open);
    lua_call(L, 0, 1);
}

void open_base(lua_State *L) {
    static const char *const plain[] = {"assert", "error", "ipairs", "rawequal", "rawlen", "select", "type", NULL};
    static const char *const counted[] = {"tonumber", NULL};
    static const char *const absent[] = {"collectgarbage", "dofile", "load", "loadfile", "loadstring", "require", "warn", NULL};
    static const luaL_Reg own[] = {
        {"next", base_next}, {"pairs", base_pairs}, {"pcall", base_pcall}, {"xpcall", base_xpcall},
        {"getmetatable", base_getmetatable}, {"setmetatable", base_setmetatable}, {"rawget", base_rawget}, {"rawset", base_rawset},
        {"tostring", base_tostring}, {NULL, NULL},
    };
    // luaopen_base fills the globals themselves: everything that is not wanted goes again.
    borrow(L, luaopen_base);
    lua_newtable(L);
    lua_insert(L, -2);
    take(L, plain, false);
    take(L, counted, true);
    lua_pop(L, 1);
    luaL_setfuncs(L, own, 0);
    lua_pushnil(L);
    while (lua_next(L, -3)) {
        lua_pop(L, 1);
        lua_pushvalue(L, -1);
        lua_pushnil(L);
        lua_rawset(L, -5);
    }
    lua_pushnil(L);
    while (lua_next(L, -2)) {
        lua_pushvalue(L, -2);
        lua_insert(L, -2);
        lua_rawset(L, -5);
    }
    lua_pop(L, 1);
    for (const char *const *name = absent; *name; name++) {
        lua_pushstring(L, *name);
        lua_pushcclosure(L, not_available, 1);
        lua_setfield(L, -2, *name);
    }
    lua_pushvalue(L, -1);
    lua_setfield(L, -2, "_G");
    lua_pushliteral(L, "Lua 5.4");
    lua_setfield(L, -2, "_VERSION");
}

// MARK: coroutine

static lua_State *checked_coroutine(lua_State *L) {
    lua_State *co = lua_tothread(L, 1);
    luaL_argexpected(L, co, 1, "coroutine");
    return co;
}

static int coroutine_create(lua_State *L) {
    luaL_checktype(L, 1, LUA_TFUNCTION);
    // What runs in it before its hook looks for the first time is paid for here.
    charge(L, owner(L), HOOK_INTERVAL);
    lua_State *co = lua_newthread(L);
    lua_pushvalue(L, 1);
    lua_xmove(L, co, 1);
    return 1;
}

static int go_on_after_wait(lua_State *L, int status, lua_KContext context);

/// Resumes `co` with the top `count` values. A wait for the host goes through to the outside, whoever runs the coroutine. `kept` values of the
/// caller's own are at the bottom of the stack.
static int drive(lua_State *L, lua_State *co, int count, int kept, bool is_wrapped) {
    sandbox *s = owner(L);
    charge(L, s, 20);
    if (!lua_checkstack(co, count)) return luaL_error(L, "too many arguments to resume");
    lua_xmove(L, co, count);
    bool was_blocked = s->is_blocked;
    if (!lua_isyieldable(L)) s->is_blocked = true;
    int results = 0;
    int status = lua_resume(co, L, count, &results);
    s->is_blocked = was_blocked;
    if (status == LUA_YIELD && s->is_host_waiting)
        return lua_yieldk(L, 0, (lua_KContext)(kept * 2 + is_wrapped), go_on_after_wait);
    note_status(s, status);
    if (s->limit) raise_limit(L, s, s->limit);
    if (status == LUA_OK || status == LUA_YIELD) {
        if (!lua_checkstack(L, results + 1)) {
            lua_pop(co, results);
            return luaL_error(L, "too many results to resume");
        }
        if (!is_wrapped) lua_pushboolean(L, true);
        lua_xmove(co, L, results);
        return results + !is_wrapped;
    }
    if (!is_wrapped) lua_pushboolean(L, false);
    lua_xmove(co, L, 1);
    return is_wrapped ? lua_error(L) : 2;
}

static lua_State *driven(lua_State *L, bool is_wrapped) {
    return is_wrapped ? lua_tothread(L, lua_upvalueindex(1)) : lua_tothread(L, 1);
}

static int go_on_after_wait(lua_State *L, int status, lua_KContext context) {
    (void)status;
    int kept = (int)context / 2;
    bool is_wrapped = context & 1;
    return drive(L, driven(L, is_wrapped), lua_gettop(L) - kept, kept, is_wrapped);
}

static const char *status_of(lua_State *L, lua_State *co) {
    if (L == co) return "running";
    lua_Debug ar;
    switch (lua_status(co)) {
    case LUA_YIELD: return "suspended";
    case LUA_OK: return lua_getstack(co, 0, &ar) ? "normal" : lua_gettop(co) == 0 ? "dead" : "suspended";
    default: return "dead";
    }
}

static int coroutine_resume(lua_State *L) {
    lua_State *co = checked_coroutine(L);
    const char *status = status_of(L, co);
    if (strcmp(status, "suspended") != 0) {
        lua_pushboolean(L, false);
        lua_pushfstring(L, "cannot resume %s coroutine", strcmp(status, "dead") == 0 ? "dead" : "non-suspended");
        return 2;
    }
    return drive(L, co, lua_gettop(L) - 1, 1, false);
}

static int resume_wrapped(lua_State *L) {
    lua_State *co = driven(L, true);
    const char *status = status_of(L, co);
    if (strcmp(status, "suspended") != 0)
        return luaL_error(L, "cannot resume %s coroutine", strcmp(status, "dead") == 0 ? "dead" : "non-suspended");
    return drive(L, co, lua_gettop(L), 0, true);
}

static int coroutine_wrap(lua_State *L) {
    coroutine_create(L);
    lua_pushcclosure(L, resume_wrapped, 1);
    return 1;
}

static int coroutine_yield(lua_State *L) {
    if (owner(L)->thread == L) return luaL_error(L, "attempt to yield from outside a coroutine");
    return lua_yield(L, lua_gettop(L));
}

static int coroutine_status(lua_State *L) {
    lua_pushstring(L, status_of(L, checked_coroutine(L)));
    return 1;
}

/// The handler itself is no coroutine that a script could hold and resume behind our back.
static int coroutine_running(lua_State *L) {
    bool is_handler = owner(L)->thread == L;
    if (is_handler) lua_pushnil(L);
    else lua_pushthread(L);
    lua_pushboolean(L, is_handler);
    return 2;
}

static int coroutine_isyieldable(lua_State *L) {
    lua_pushboolean(L, owner(L)->thread != L && lua_isyieldable(L));
    return 1;
}

static int coroutine_close(lua_State *L) {
    sandbox *s = owner(L);
    lua_State *co = checked_coroutine(L);
    const char *status = status_of(L, co);
    if (strcmp(status, "suspended") != 0 && strcmp(status, "dead") != 0) return luaL_error(L, "cannot close a %s coroutine", status);
    // Closing runs `__close` in a thread that does not know how deep the C stack is already.
    if (s->close_depth >= 20) return luaL_error(L, "C stack overflow: coroutines are closed inside one another");
    s->close_depth++;
    charge(L, s, 20);
    int result = lua_resetthread(co);
    s->close_depth--;
    note_status(s, result);
    if (s->limit) raise_limit(L, s, s->limit);
    if (result == LUA_OK) {
        lua_pushboolean(L, true);
        return 1;
    }
    lua_pushboolean(L, false);
    lua_xmove(co, L, 1);
    return 2;
}

void open_coroutine(lua_State *L) {
    static const luaL_Reg own[] = {
        {"create", coroutine_create}, {"resume", coroutine_resume}, {"wrap", coroutine_wrap}, {"yield", coroutine_yield},
        {"status", coroutine_status}, {"running", coroutine_running}, {"isyieldable", coroutine_isyieldable}, {"close", coroutine_close},
        {NULL, NULL},
    };
    luaL_setfuncs(L, own, 0);
}

// MARK: math

static uint64_t next_random(sandbox *s) {
    // xoshiro256**
    uint64_t *r = s->random, result = r[1] * 5, t = r[1] << 17;
    result = ((result << 7) | (result >> 57)) * 9;
    r[2] ^= r[0];
    r[3] ^= r[1];
    r[1] ^= r[2];
    r[0] ^= r[3];
    r[2] ^= t;
    r[3] = (r[3] << 45) | (r[3] >> 19);
    return result;
}

static int math_random(lua_State *L) {
    sandbox *s = owner(L);
    lua_Integer low = 1, high;
    uint64_t word = next_random(s);
    switch (lua_gettop(L)) {
    case 0:
        lua_pushnumber(L, (lua_Number)(word >> 11) * 0x1p-53);
        return 1;
    case 1:
        high = luaL_checkinteger(L, 1);
        if (high == 0) {
            lua_pushinteger(L, (lua_Integer)word);
            return 1;
        }
        break;
    case 2:
        low = luaL_checkinteger(L, 1);
        high = luaL_checkinteger(L, 2);
        break;
    default: return luaL_error(L, "wrong number of arguments");
    }
    luaL_argcheck(L, low <= high, lua_gettop(L), "interval is empty");
    uint64_t span = (uint64_t)high - (uint64_t)low;
    if (span != UINT64_MAX) {
        // Without a bias: words beyond the last whole multiple are thrown away.
        uint64_t count = span + 1, end = UINT64_MAX - UINT64_MAX % count;
        while (word >= end) word = next_random(s);
        word %= count;
    }
    lua_pushinteger(L, (lua_Integer)(word + (uint64_t)low));
    return 1;
}

static int math_randomseed(lua_State *L) {
    // Without an argument the engine's seed goes on: chance comes from nowhere else.
    if (lua_gettop(L) == 0) return 0;
    sandbox *s = owner(L);
    lua_Number number = luaL_checknumber(L, 1);
    uint64_t seed = 0;
    if (lua_isinteger(L, 1)) seed = (uint64_t)lua_tointeger(L, 1);
    else memcpy(&seed, &number, sizeof seed);
    seed ^= (uint64_t)luaL_optinteger(L, 2, 0) * 0x9e3779b97f4a7c15u;
    s->random[0] = seed;
    s->random[1] = 0xff;
    s->random[2] = seed >> 32;
    s->random[3] = 1;
    for (int i = 0; i < 16; i++) next_random(s);
    return 0;
}

void open_math(lua_State *L) {
    static const char *const plain[] = {"abs", "acos", "asin", "atan", "ceil", "cos", "deg", "exp", "floor", "fmod", "huge", "log", "max",
        "maxinteger", "min", "mininteger", "modf", "pi", "rad", "sin", "sqrt", "tan", "tointeger", "type", "ult", NULL};
    borrow(L, luaopen_math);
    take(L, plain, false);
    lua_pop(L, 1);
    lua_pushcfunction(L, math_random);
    lua_setfield(L, -2, "random");
    lua_pushcfunction(L, math_randomseed);
    lua_setfield(L, -2, "randomseed");
}

// MARK: string

static int string_rep(lua_State *L) {
    sandbox *s = owner(L);
    size_t length, separator_length;
    const char *text = luaL_checklstring(L, 1, &length);
    lua_Integer count = luaL_checkinteger(L, 2);
    const char *separator = luaL_optlstring(L, 3, "", &separator_length);
    if (count <= 0 || length + separator_length == 0) {
        lua_pushliteral(L, "");
        return 1;
    }
    if ((uint64_t)count > s->limits.string_length / (length + separator_length) + 1) raise_limit(L, s, SANDBOX_STRING_LENGTH);
    size_t total = (size_t)count * length + (size_t)(count - 1) * separator_length;
    if (total > s->limits.string_length) raise_limit(L, s, SANDBOX_STRING_LENGTH);
    charge(L, s, count + (int64_t)(total >> 4));
    luaL_Buffer buffer;
    char *at = luaL_buffinitsize(L, &buffer, total);
    for (; count > 0; count--) {
        memcpy(at, text, length);
        at += length;
        if (count > 1 && separator_length) {
            memcpy(at, separator, separator_length);
            at += separator_length;
        }
    }
    luaL_pushresultsize(&buffer, total);
    return 1;
}

/// What `first, last` mean in a text of `length` bytes: the first byte from 0, and how many.
static size_t range(lua_State *L, size_t length, lua_Integer first, lua_Integer last, size_t *start) {
    lua_Integer count = (lua_Integer)length;
    if (first <= 0) first = first == 0 || first < -count ? 1 : count + first + 1;
    if (last > count) last = count;
    else if (last < 0) last = last < -count ? 0 : count + last + 1;
    *start = (size_t)first - 1;
    return first > last ? 0 : (size_t)(last - first + 1);
}

static int string_byte(lua_State *L) {
    size_t length, start;
    const char *text = luaL_checklstring(L, 1, &length);
    lua_Integer first = luaL_optinteger(L, 2, 1);
    size_t count = range(L, length, first, luaL_optinteger(L, 3, first), &start);
    if (count >= INT_MAX) return luaL_error(L, "string slice too long");
    charge(L, owner(L), 5 + (int64_t)count);
    luaL_checkstack(L, (int)count, "string slice too long");
    for (size_t i = 0; i < count; i++) lua_pushinteger(L, (uint8_t)text[start + i]);
    return (int)count;
}

static int string_sub(lua_State *L) {
    size_t length, start;
    const char *text = luaL_checklstring(L, 1, &length);
    size_t count = range(L, length, luaL_checkinteger(L, 2), luaL_optinteger(L, 3, -1), &start);
    charge(L, owner(L), 5 + (int64_t)(count >> 3));
    if (count) lua_pushlstring(L, text + start, count);
    else lua_pushliteral(L, "");
    return 1;
}

static int string_dump_refused(lua_State *L) { return luaL_error(L, "'string.dump' is not available to scripts"); }

void open_string(lua_State *L) {
    static const char *const counted[] = {"char", "len", "lower", "pack", "packsize", "reverse", "unpack", "upper", NULL};
    static const luaL_Reg own[] = {
        {"find", string_find}, {"match", string_match}, {"gmatch", string_gmatch}, {"gsub", string_gsub}, {"format", string_format},
        {"rep", string_rep}, {"byte", string_byte}, {"sub", string_sub}, {"dump", string_dump_refused}, {NULL, NULL},
    };
    static const char *const utf8_functions[] = {"char", "codepoint", "codes", "len", "offset", NULL};
    // Lua does arithmetic on texts that are numbers through the metatable that its own library gives to strings.
    static const char *const arithmetic[] = {"__add", "__sub", "__mul", "__mod", "__pow", "__div", "__idiv", "__unm", NULL};
    borrow(L, luaopen_string);
    take(L, counted, true);
    lua_pop(L, 1);
    luaL_setfuncs(L, own, 0);
    // The metatable of strings: this state's own, out of the script's reach.
    lua_pushliteral(L, "");
    lua_newtable(L);
    lua_pushvalue(L, -3);
    lua_setfield(L, -2, "__index");
    lua_pushliteral(L, "string");
    lua_setfield(L, -2, "__metatable");
    if (lua_getmetatable(L, -2)) {
        take(L, arithmetic, true);
        lua_pop(L, 1);
    }
    lua_setmetatable(L, -2);
    lua_pop(L, 1);
    lua_newtable(L);
    borrow(L, luaopen_utf8);
    take(L, utf8_functions, true);
    lua_getfield(L, -1, "charpattern");
    lua_setfield(L, -3, "charpattern");
    lua_pop(L, 1);
    lua_setglobal(L, "utf8");
}
