// Lua's patterns (Reference Manual, §6.4.1), matched with a count of the steps: a match that backtracks for hours ends at the script's limit.
#define _GNU_SOURCE
#include "internal.h"
#include <ctype.h>

#define MOST_CAPTURES 32
#define DEEPEST_MATCH 200
#define STEPS_AT_ONCE 256

enum { OPEN_CAPTURE = -1, POSITION_CAPTURE = -2 };

typedef struct {
    lua_State *L;
    sandbox *s;
    const char *text, *text_end, *pattern_end;
    int depth, count, steps;
    struct {
        const char *start;
        ptrdiff_t length;
    } captures[MOST_CAPTURES];
} matcher;

static const char *match_here(matcher *m, const char *at, const char *p);

static inline void step(matcher *m) {
    if (++m->steps < STEPS_AT_ONCE) return;
    charge(m->L, m->s, m->steps);
    m->steps = 0;
    check_time(m->L, m->s);
}

/// The end of the single-character class at `p`.
static const char *class_end(matcher *m, const char *p) {
    char c = *p++;
    if (c == '%') {
        if (p == m->pattern_end) luaL_error(m->L, "malformed pattern (ends with '%%')");
        return p + 1;
    }
    if (c != '[') return p;
    if (p < m->pattern_end && *p == '^') p++;
    do {
        if (p == m->pattern_end) luaL_error(m->L, "malformed pattern (missing ']')");
        step(m);
        c = *p++;
        if (c == '%' && p < m->pattern_end) p++;
        else if (c == '%') luaL_error(m->L, "malformed pattern (missing ']')");
    } while (p == m->pattern_end || *p != ']');
    return p + 1;
}

static bool is_in_class(int c, int class) {
    bool result;
    switch (tolower(class)) {
    case 'a': result = isalpha(c); break;
    case 'c': result = iscntrl(c); break;
    case 'd': result = isdigit(c); break;
    case 'g': result = isgraph(c); break;
    case 'l': result = islower(c); break;
    case 'p': result = ispunct(c); break;
    case 's': result = isspace(c); break;
    case 'u': result = isupper(c); break;
    case 'w': result = isalnum(c); break;
    case 'x': result = isxdigit(c); break;
    case 'z': result = c == 0; break;
    default: return class == c;
    }
    return isupper(class) ? !result : result;
}

/// Whether a byte is in the set that begins at `p` ('[') and ends at `last` (']').
static bool is_in_set(matcher *m, int c, const char *p, const char *last) {
    bool found = true;
    if (p[1] == '^') {
        found = false;
        p++;
    }
    while (++p < last) {
        step(m);
        if (*p == '%') {
            p++;
            if (is_in_class(c, (unsigned char)*p)) return found;
        } else if (p[1] == '-' && p + 2 < last) {
            p += 2;
            if ((unsigned char)p[-2] <= c && c <= (unsigned char)*p) return found;
        } else if ((unsigned char)*p == c) {
            return found;
        }
    }
    return !found;
}

static bool is_single_match(matcher *m, const char *at, const char *p, const char *end) {
    step(m);
    if (at >= m->text_end) return false;
    int c = (unsigned char)*at;
    switch (*p) {
    case '.': return true;
    case '%': return is_in_class(c, (unsigned char)p[1]);
    case '[': return is_in_set(m, c, p, end - 1);
    default: return (unsigned char)*p == c;
    }
}

static const char *match_balance(matcher *m, const char *at, const char *p) {
    if (p >= m->pattern_end - 1) luaL_error(m->L, "malformed pattern (missing arguments to '%%b')");
    if (at >= m->text_end || *at != *p) return NULL;
    int open = (unsigned char)p[0], close = (unsigned char)p[1], level = 1;
    while (++at < m->text_end) {
        step(m);
        int c = (unsigned char)*at;
        if (c == close) {
            if (--level == 0) return at + 1;
        } else if (c == open) {
            level++;
        }
    }
    return NULL;
}

static const char *match_most(matcher *m, const char *at, const char *p, const char *end) {
    ptrdiff_t count = 0;
    while (is_single_match(m, at + count, p, end)) count++;
    for (; count >= 0; count--) {
        const char *result = match_here(m, at + count, end + 1);
        if (result) return result;
    }
    return NULL;
}

static const char *match_fewest(matcher *m, const char *at, const char *p, const char *end) {
    while (true) {
        const char *result = match_here(m, at, end + 1);
        if (result) return result;
        if (!is_single_match(m, at, p, end)) return NULL;
        at++;
    }
}

static const char *begin_capture(matcher *m, const char *at, const char *p, ptrdiff_t kind) {
    if (m->count >= MOST_CAPTURES) luaL_error(m->L, "too many captures");
    m->captures[m->count].start = at;
    m->captures[m->count].length = kind;
    m->count++;
    const char *result = match_here(m, at, p);
    if (!result) m->count--;
    return result;
}

static const char *end_capture(matcher *m, const char *at, const char *p) {
    int open = m->count - 1;
    while (open >= 0 && m->captures[open].length != OPEN_CAPTURE) open--;
    if (open < 0) luaL_error(m->L, "invalid pattern capture");
    m->captures[open].length = at - m->captures[open].start;
    const char *result = match_here(m, at, p);
    if (!result) m->captures[open].length = OPEN_CAPTURE;
    return result;
}

static const char *match_capture(matcher *m, const char *at, int digit) {
    int number = digit - '1';
    if (number < 0 || number >= m->count || m->captures[number].length == OPEN_CAPTURE)
        luaL_error(m->L, "invalid capture index %%%d", number + 1);
    // A position captured is an empty text here, as in Lua it can never be matched again.
    if (m->captures[number].length == POSITION_CAPTURE) return NULL;
    size_t length = (size_t)m->captures[number].length;
    m->steps += (int)(length >> 4 > 1000000 ? 1000000 : length >> 4);
    step(m);
    if ((size_t)(m->text_end - at) >= length && memcmp(m->captures[number].start, at, length) == 0) return at + length;
    return NULL;
}

static const char *match_frontier(matcher *m, const char *at, const char **p) {
    const char *set = *p + 2;
    if (set >= m->pattern_end || *set != '[') luaL_error(m->L, "missing '[' after '%%f' in pattern");
    const char *end = class_end(m, set);
    int before = at == m->text ? 0 : (unsigned char)at[-1], here = at < m->text_end ? (unsigned char)*at : 0;
    *p = end;
    return !is_in_set(m, before, set, end - 1) && is_in_set(m, here, set, end - 1) ? at : NULL;
}

/// The end of a match of the pattern from `p` on at `at`; NULL when there is none.
static const char *match_in_turn(matcher *m, const char *at, const char *p) {
    while (p < m->pattern_end) {
        step(m);
        if (*p == '(') {
            bool is_position = p + 1 < m->pattern_end && p[1] == ')';
            return is_position ? begin_capture(m, at, p + 2, POSITION_CAPTURE) : begin_capture(m, at, p + 1, OPEN_CAPTURE);
        }
        if (*p == ')') return end_capture(m, at, p + 1);
        if (*p == '$' && p + 1 == m->pattern_end) return at == m->text_end ? at : NULL;
        if (*p == '%' && p + 1 < m->pattern_end) {
            if (p[1] == 'b') {
                at = match_balance(m, at, p + 2);
                if (!at) return NULL;
                p += 4;
                continue;
            }
            if (p[1] == 'f') {
                if (!match_frontier(m, at, &p)) return NULL;
                continue;
            }
            if (isdigit((unsigned char)p[1])) {
                at = match_capture(m, at, (unsigned char)p[1]);
                if (!at) return NULL;
                p += 2;
                continue;
            }
        }
        const char *end = class_end(m, p);
        char suffix = end < m->pattern_end ? *end : 0;
        if (suffix == '*') return match_most(m, at, p, end);
        if (suffix == '-') return match_fewest(m, at, p, end);
        bool matches = is_single_match(m, at, p, end);
        if (suffix == '+') return matches ? match_most(m, at + 1, p, end) : NULL;
        if (suffix == '?') {
            if (matches) {
                const char *result = match_here(m, at + 1, end + 1);
                if (result) return result;
            }
            p = end + 1;
            continue;
        }
        if (!matches) return NULL;
        at++;
        p = end;
    }
    return at;
}

static const char *match_here(matcher *m, const char *at, const char *p) {
    if (++m->depth > DEEPEST_MATCH) luaL_error(m->L, "pattern too complex");
    const char *result = match_in_turn(m, at, p);
    m->depth--;
    return result;
}

// MARK: What was captured

static void push_capture(matcher *m, int number, const char *start, const char *end) {
    if (number >= m->count) {
        if (number != 0) luaL_error(m->L, "invalid capture index %%%d", number + 1);
        lua_pushlstring(m->L, start, (size_t)(end - start));
        return;
    }
    ptrdiff_t length = m->captures[number].length;
    if (length == OPEN_CAPTURE) luaL_error(m->L, "unfinished capture");
    if (length == POSITION_CAPTURE) lua_pushinteger(m->L, m->captures[number].start - m->text + 1);
    else lua_pushlstring(m->L, m->captures[number].start, (size_t)length);
}

/// All captures, or the whole match when there are none (`start` NULL: then nothing).
static int push_captures(matcher *m, const char *start, const char *end) {
    int count = m->count == 0 && start ? 1 : m->count;
    luaL_checkstack(m->L, count, "too many captures");
    for (int i = 0; i < count; i++) push_capture(m, i, start, end);
    return count;
}

static void begin_match(matcher *m, lua_State *L, const char *text, size_t length, const char *pattern, size_t pattern_length) {
    m->L = L;
    m->s = owner(L);
    m->text = text;
    m->text_end = text + length;
    m->pattern_end = pattern + pattern_length;
    m->depth = m->count = m->steps = 0;
}

static const char *try_match(matcher *m, const char *at, const char *pattern) {
    m->depth = m->count = 0;
    return match_here(m, at, pattern);
}

static void settle(matcher *m) { charge(m->L, m->s, m->steps + 5); }

// MARK: find, match

static size_t start_position(lua_Integer position, size_t length) {
    if (position > 0) return (size_t)position - 1;
    if (position == 0) return 0;
    return position < -(lua_Integer)length ? 0 : length + (size_t)position;
}

static bool is_plain(const char *pattern, size_t length) {
    for (size_t i = 0; i < length; i++)
        if (pattern[i] && strchr("^$*+?.([%-", pattern[i])) return false;
    return true;
}

static int find_or_match(lua_State *L, bool is_find) {
    size_t length, pattern_length;
    const char *text = luaL_checklstring(L, 1, &length), *pattern = luaL_checklstring(L, 2, &pattern_length);
    size_t start = start_position(luaL_optinteger(L, 3, 1), length);
    if (start > length) {
        lua_pushnil(L);
        return 1;
    }
    if (is_find && (lua_toboolean(L, 4) || is_plain(pattern, pattern_length))) {
        charge(L, owner(L), 5 + (int64_t)((length - start) >> 3) + (int64_t)(pattern_length >> 3));
        const char *found = memmem(text + start, length - start, pattern, pattern_length);
        if (!found) {
            lua_pushnil(L);
            return 1;
        }
        lua_pushinteger(L, found - text + 1);
        lua_pushinteger(L, found - text + (lua_Integer)pattern_length);
        return 2;
    }
    matcher m;
    bool is_anchored = pattern_length > 0 && *pattern == '^';
    const char *p = is_anchored ? pattern + 1 : pattern, *at = text + start;
    begin_match(&m, L, text, length, pattern, pattern_length);
    do {
        const char *end = try_match(&m, at, p);
        if (!end) continue;
        settle(&m);
        if (!is_find) return push_captures(&m, at, end);
        lua_pushinteger(L, at - text + 1);
        lua_pushinteger(L, end - text);
        return push_captures(&m, NULL, NULL) + 2;
    } while (at++ < m.text_end && !is_anchored);
    settle(&m);
    lua_pushnil(L);
    return 1;
}

int string_find(lua_State *L) { return find_or_match(L, true); }
int string_match(lua_State *L) { return find_or_match(L, false); }

// MARK: gmatch. Upvalues: text, pattern, where to go on, where the last match ended.

static int next_match(lua_State *L) {
    size_t length, pattern_length;
    const char *text = lua_tolstring(L, lua_upvalueindex(1), &length), *pattern = lua_tolstring(L, lua_upvalueindex(2), &pattern_length);
    lua_Integer start = lua_tointeger(L, lua_upvalueindex(3)), last = lua_tointeger(L, lua_upvalueindex(4));
    matcher m;
    begin_match(&m, L, text, length, pattern, pattern_length);
    for (const char *at = text + start; at <= m.text_end; at++) {
        const char *end = try_match(&m, at, pattern);
        if (!end || end - text == last) continue;
        settle(&m);
        lua_pushinteger(L, end - text);
        lua_copy(L, -1, lua_upvalueindex(3));
        lua_copy(L, -1, lua_upvalueindex(4));
        lua_pop(L, 1);
        return push_captures(&m, at, end);
    }
    settle(&m);
    return 0;
}

int string_gmatch(lua_State *L) {
    size_t length;
    luaL_checklstring(L, 1, &length);
    luaL_checkstring(L, 2);
    size_t start = start_position(luaL_optinteger(L, 3, 1), length);
    lua_settop(L, 2);
    lua_pushinteger(L, (lua_Integer)(start > length ? length + 1 : start));
    lua_pushinteger(L, -1);
    lua_pushcclosure(L, next_match, 4);
    return 1;
}

// MARK: gsub

static void add_template(matcher *m, luaL_Buffer *buffer, const char *start, const char *end) {
    size_t length;
    lua_State *L = m->L;
    const char *text = lua_tolstring(L, 3, &length);
    for (size_t i = 0; i < length; i++) {
        step(m);
        if (text[i] != '%') {
            luaL_addchar(buffer, text[i]);
            continue;
        }
        i++;
        char c = i < length ? text[i] : 0;
        if (c == '%' && i < length) luaL_addchar(buffer, '%');
        else if (c == '0') luaL_addlstring(buffer, start, (size_t)(end - start));
        else if (isdigit((unsigned char)c)) {
            push_capture(m, c - '1', start, end);
            luaL_tolstring(L, -1, NULL);
            lua_remove(L, -2);
            luaL_addvalue(buffer);
        } else luaL_error(L, "invalid use of '%%' in replacement string");
    }
}

/// Adds what takes the place of a match; false when the match stays as it is.
static bool add_replacement(matcher *m, luaL_Buffer *buffer, const char *start, const char *end, int type) {
    lua_State *L = m->L;
    switch (type) {
    case LUA_TFUNCTION:
        lua_pushvalue(L, 3);
        lua_call(L, push_captures(m, start, end), 1);
        break;
    case LUA_TTABLE:
        push_capture(m, 0, start, end);
        lua_gettable(L, 3);
        break;
    default: add_template(m, buffer, start, end); return true;
    }
    if (!lua_toboolean(L, -1)) {
        lua_pop(L, 1);
        luaL_addlstring(buffer, start, (size_t)(end - start));
        return false;
    }
    if (!lua_isstring(L, -1)) luaL_error(L, "invalid replacement value (a %s)", luaL_typename(L, -1));
    luaL_addvalue(buffer);
    return true;
}

int string_gsub(lua_State *L) {
    size_t length, pattern_length;
    const char *text = luaL_checklstring(L, 1, &length), *pattern = luaL_checklstring(L, 2, &pattern_length);
    int type = lua_type(L, 3);
    luaL_argexpected(L, type == LUA_TNUMBER || type == LUA_TSTRING || type == LUA_TFUNCTION || type == LUA_TTABLE, 3, "string/function/table");
    lua_Integer most = luaL_optinteger(L, 4, (lua_Integer)length + 1), count = 0;
    if (type == LUA_TNUMBER) lua_tolstring(L, 3, NULL);
    bool is_anchored = pattern_length > 0 && *pattern == '^', has_changed = false;
    const char *p = is_anchored ? pattern + 1 : pattern, *at = text, *last = NULL;
    matcher m;
    luaL_Buffer buffer;
    begin_match(&m, L, text, length, pattern, pattern_length);
    luaL_buffinit(L, &buffer);
    while (count < most) {
        const char *end = try_match(&m, at, p);
        if (end && end != last) {
            count++;
            has_changed = add_replacement(&m, &buffer, at, end, type) || has_changed;
            at = last = end;
        } else if (at < m.text_end) {
            luaL_addchar(&buffer, *at++);
        } else {
            break;
        }
        if (is_anchored) break;
    }
    settle(&m);
    if (!has_changed) {
        lua_pushvalue(L, 1);
    } else {
        luaL_addlstring(&buffer, at, (size_t)(m.text_end - at));
        luaL_pushresult(&buffer);
    }
    lua_pushinteger(L, count);
    return 2;
}
