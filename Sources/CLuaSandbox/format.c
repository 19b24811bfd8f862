// `string.format`: as Lua's, without addresses (%p) and without the locale's help.
#include "internal.h"
#include <ctype.h>
#include <math.h>
#include <stdio.h>

/// Longest text of one number: %.99f of the largest double.
#define LONGEST_ITEM 440

/// Reads flags, width and precision after a '%' into `spec`, with the conversion behind them; gives what follows.
static const char *read_spec(lua_State *L, const char *at, const char *end, char *spec) {
    const char *start = at;
    while (at < end && *at && strchr("-+ #0123456789.", *at)) at++;
    if (at - start >= 21) luaL_error(L, "invalid format string to 'format'");
    size_t count = (size_t)(at - start) + (at < end);
    spec[0] = '%';
    memcpy(spec + 1, start, count);
    spec[count + 1] = 0;
    return at < end ? at + 1 : at;
}

static const char *skip_two_digits(const char *at) {
    for (int i = 0; i < 2 && isdigit((unsigned char)*at); i++) at++;
    return at;
}

/// What C leaves open is refused, as Lua does: flags that mean nothing for the conversion, long widths.
static void check_spec(lua_State *L, const char *spec, const char *flags, bool takes_precision) {
    const char *at = spec + 1 + strspn(spec + 1, flags);
    if (*at != '0') {
        at = skip_two_digits(at);
        if (*at == '.' && takes_precision) at = skip_two_digits(at + 1);
    }
    if (!isalpha((unsigned char)*at)) luaL_error(L, "invalid conversion specification: '%s'", spec);
}

/// Puts C's length before the conversion.
static void lengthen(char *spec) {
    size_t end = strlen(spec);
    spec[end + 2] = 0;
    spec[end + 1] = spec[end - 1];
    spec[end - 1] = spec[end] = 'l';
}

static void add_quoted(luaL_Buffer *buffer, const char *text, size_t length) {
    luaL_addchar(buffer, '"');
    for (size_t i = 0; i < length; i++) {
        unsigned char c = (unsigned char)text[i];
        if (c == '"' || c == '\\' || c == '\n') {
            luaL_addchar(buffer, '\\');
            luaL_addchar(buffer, (char)c);
        } else if (iscntrl(c)) {
            char escape[8];
            bool digit_follows = i + 1 < length && isdigit((unsigned char)text[i + 1]);
            snprintf(escape, sizeof escape, digit_follows ? "\\%03d" : "\\%d", c);
            luaL_addstring(buffer, escape);
        } else {
            luaL_addchar(buffer, (char)c);
        }
    }
    luaL_addchar(buffer, '"');
}

static void add_literal(lua_State *L, luaL_Buffer *buffer, int index) {
    char text[64];
    switch (lua_type(L, index)) {
    case LUA_TSTRING: {
        size_t length;
        const char *string = lua_tolstring(L, index, &length);
        charge(L, owner(L), (int64_t)length);
        add_quoted(buffer, string, length);
        return;
    }
    case LUA_TNUMBER:
        if (lua_isinteger(L, index)) {
            lua_Integer value = lua_tointeger(L, index);
            snprintf(text, sizeof text, value == LUA_MININTEGER ? "0x%llx" : "%lld", (long long)value);
        } else {
            lua_Number value = lua_tonumber(L, index);
            if (value == HUGE_VAL) strcpy(text, "1e9999");
            else if (value == -HUGE_VAL) strcpy(text, "-1e9999");
            else if (value != value) strcpy(text, "(0/0)");
            else snprintf(text, sizeof text, "%a", value);
        }
        luaL_addstring(buffer, text);
        return;
    case LUA_TNIL: luaL_addstring(buffer, "nil"); return;
    case LUA_TBOOLEAN: luaL_addstring(buffer, lua_toboolean(L, index) ? "true" : "false"); return;
    default: luaL_argerror(L, index, "value has no literal form");
    }
}

static void add_text(lua_State *L, luaL_Buffer *buffer, int index, const char *spec) {
    size_t length;
    // The text lies on the stack above the buffer's own place: it is added, then taken off.
    const char *text = push_text(L, index, &length);
    if (!spec[2]) {
        luaL_addvalue(buffer);
        return;
    }
    luaL_argcheck(L, length == strlen(text), index, "string contains zeros");
    check_spec(L, spec, "-", true);
    if (!strchr(spec, '.') && length >= 100) {
        luaL_addvalue(buffer);
        return;
    }
    charge(L, owner(L), (int64_t)(length >> 4));
    // A precision has two digits, so at most 99 bytes come out, or fewer than 100 by the test above.
    char item[LONGEST_ITEM];
    int count = snprintf(item, sizeof item, spec, text);
    lua_pop(L, 1);
    luaL_addlstring(buffer, item, (size_t)count);
}

/// Writes a number into `item`; gives its length.
static int write_number(lua_State *L, int argument, char conversion, char *spec, char *item) {
    switch (conversion) {
    case 'c':
        check_spec(L, spec, "-", false);
        return snprintf(item, LONGEST_ITEM, spec, (int)luaL_checkinteger(L, argument));
    case 'd': case 'i': case 'u': case 'o': case 'x': case 'X': {
        lua_Integer value = luaL_checkinteger(L, argument);
        check_spec(L, spec, conversion == 'd' || conversion == 'i' ? "-+0 " : conversion == 'u' ? "-0" : "-#0", true);
        lengthen(spec);
        return snprintf(item, LONGEST_ITEM, spec, (long long)value);
    }
    default: {
        lua_Number value = luaL_checknumber(L, argument);
        check_spec(L, spec, "-+#0 ", true);
        return snprintf(item, LONGEST_ITEM, spec, value != value ? fabs(value) : value);
    }
    }
}

int string_format(lua_State *L) {
    sandbox *s = owner(L);
    int last = lua_gettop(L), argument = 1;
    size_t length;
    const char *at = luaL_checklstring(L, 1, &length), *end = at + length;
    charge(L, s, 5 + (int64_t)length);
    luaL_Buffer buffer;
    luaL_buffinit(L, &buffer);
    while (at < end) {
        if (*at != '%') {
            luaL_addchar(&buffer, *at++);
            continue;
        }
        if (++at < end && *at == '%') {
            luaL_addchar(&buffer, *at++);
            continue;
        }
        char spec[32], item[LONGEST_ITEM];
        if (++argument > last) return luaL_argerror(L, argument, "no value");
        at = read_spec(L, at, end, spec);
        char conversion = spec[strlen(spec) - 1];
        charge(L, s, 5);
        if (conversion == 's') {
            add_text(L, &buffer, argument, spec);
        } else if (conversion == 'q') {
            if (spec[2]) return luaL_error(L, "specifier '%%q' cannot have modifiers");
            add_literal(L, &buffer, argument);
        } else if (conversion == 'p') {
            return luaL_error(L, "'%%p' is not available to scripts: values have no addresses");
        } else if (strchr("cdiuoxXaAeEfFgG", conversion)) {
            int count = write_number(L, argument, conversion, spec, item);
            if (count > 0) luaL_addlstring(&buffer, item, (size_t)count < sizeof item ? (size_t)count : sizeof item - 1);
        } else {
            return luaL_error(L, "invalid conversion '%s' to 'format'", spec);
        }
    }
    luaL_pushresult(&buffer);
    return 1;
}
