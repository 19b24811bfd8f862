// A message as a handler sees it: a table whose members become Lua's values when they are looked at.
//
// Handlers look at a few members of many. So the table is empty at first and finds members in a block of bytes, in the form of the exchange.
// Whatever needs all of them (a write, `pairs`, handing it over) fills it in, and it is a table as any other from then on.
#include "internal.h"

static const char block_key, metatable_key;

/// Members are looked through one by one; where there are more of them, all become Lua's at the first look.
#define MOST_LOOKED_THROUGH 32

/// Stands before offsets, members and extras.
typedef struct {
    uint32_t member_count, members_length, extras_length;
} block;

typedef struct {
    const uint8_t *name, *value;
    uint32_t name_length;
} found_member;

static const uint32_t *offsets_of(const block *b) { return (const uint32_t *)(b + 1); }
static const uint8_t *members_of(const block *b) { return (const uint8_t *)(offsets_of(b) + b->member_count); }
static const uint8_t *extras_of(const block *b) { return members_of(b) + b->members_length; }

static found_member member_at(const uint8_t *at) {
    found_member member;
    memcpy(&member.name_length, at, 4);
    member.name = at + 4;
    member.value = member.name + member.name_length;
    return member;
}

/// Extras are flat: what the host adds to a message.
static const uint8_t *end_of_extra(const uint8_t *value) {
    switch (*value++) {
    case SANDBOX_NUMBER: case SANDBOX_INTEGER: return value + 8;
    case SANDBOX_STRING: case SANDBOX_CONFIGURATION: {
        uint32_t length;
        memcpy(&length, value, 4);
        return value + 4 + length;
    }
    default: return value;
    }
}

static bool has_name(const found_member *member, const char *name, size_t length) {
    return member->name_length == length && memcmp(member->name, name, length) == 0;
}

/// The value of a name: extras hide members, and of two members of one name the last one counts.
static const uint8_t *find_member(const block *b, const char *name, size_t length) {
    const uint8_t *extras = extras_of(b), *end = extras + b->extras_length;
    while (extras < end) {
        found_member member = member_at(extras);
        if (has_name(&member, name, length)) return member.value;
        extras = end_of_extra(member.value);
    }
    const uint8_t *members = members_of(b);
    for (uint32_t i = b->member_count; i > 0; i--) {
        found_member member = member_at(members + offsets_of(b)[i - 1]);
        if (has_name(&member, name, length)) return member.value;
    }
    return NULL;
}

static void push_configuration(lua_State *L, sandbox *s, const uint8_t *value) {
    uint32_t length;
    memcpy(&length, value, 4);
    if (!length || s->configuration_function < 0) {
        lua_newtable(L);
        return;
    }
    // Values may be on their way out: this reading among them. The host raises nothing, so that `output` is there again before anything can.
    sandbox_bytes output = s->output;
    s->output = s->spare;
    sandbox_clear(&s->output);
    sandbox_clear(&s->input);
    sandbox_put_string(&s->output, value + 4, length);
    bool is_known = s->host(s->user, s->configuration_function, 1) == SANDBOX_RETURN && s->input.count > 0;
    s->spare = s->output;
    s->output = output;
    if (is_known && s->input.base[0] == SANDBOX_OBJECT) decode_at(L, s->input.base);
    else lua_newtable(L);
    sandbox_clear(&s->input);
}

static void push_member(lua_State *L, sandbox *s, const uint8_t *value) {
    if (*value == SANDBOX_CONFIGURATION) push_configuration(L, s, value + 1);
    else decode_at(L, value);
}

static const block *block_of(lua_State *L, int index) {
    lua_rawgetp(L, index, &block_key);
    const block *b = lua_touserdata(L, -1);
    // The table holds on to it.
    lua_pop(L, 1);
    return b;
}

static int look_up(lua_State *L) {
    size_t length;
    const block *b = lua_type(L, 2) == LUA_TSTRING ? block_of(L, 1) : NULL;
    if (!b) return 0;
    if (b->member_count > MOST_LOOKED_THROUGH) {
        complete_reading(L, owner(L), 1);
        lua_pushvalue(L, 2);
        lua_rawget(L, 1);
        return 1;
    }
    charge(L, owner(L), 2);
    const char *name = lua_tolstring(L, 2, &length);
    const uint8_t *value = find_member(b, name, length);
    if (!value) return 0;
    push_member(L, owner(L), value);
    if (lua_type(L, -1) == LUA_TTABLE) {
        // The same table every time.
        lua_pushvalue(L, 2);
        lua_pushvalue(L, -2);
        lua_rawset(L, 1);
    }
    return 1;
}

static void fill_in(lua_State *L, sandbox *s, int index, const found_member *member) {
    charge(L, s, 1);
    lua_pushlstring(L, (const char *)member->name, member->name_length);
    push_member(L, s, member->value);
    lua_rawset(L, index);
}

/// Puts the members of one table, which have text as their names, into another.
static void put_named(lua_State *L, int from, int to) {
    for (lua_pushnil(L); lua_next(L, from);) {
        if (lua_type(L, -2) != LUA_TSTRING) {
            lua_pop(L, 1);
            continue;
        }
        lua_pushvalue(L, -2);
        lua_insert(L, -2);
        lua_rawset(L, to);
    }
}

void complete_reading(lua_State *L, sandbox *s, int index) {
    if (!lua_getmetatable(L, index)) return;
    bool is_reading = lua_topointer(L, -1) == s->reading_metatable;
    lua_pop(L, 1);
    if (!is_reading) return;
    index = lua_absindex(L, index);
    luaL_checkstack(L, 8, "too many values");
    lua_rawgetp(L, index, &block_key);
    const block *b = lua_touserdata(L, -1);
    // What was looked at stays what it was, after everything else.
    lua_newtable(L);
    int seen = lua_gettop(L);
    put_named(L, index, seen);
    for (uint32_t i = 0; i < b->member_count; i++) {
        found_member member = member_at(members_of(b) + offsets_of(b)[i]);
        fill_in(L, s, index, &member);
    }
    const uint8_t *extras = extras_of(b), *end = extras + b->extras_length;
    while (extras < end) {
        found_member member = member_at(extras);
        fill_in(L, s, index, &member);
        extras = end_of_extra(member.value);
    }
    put_named(L, seen, index);
    lua_pushnil(L);
    lua_rawsetp(L, index, &block_key);
    lua_pushnil(L);
    lua_setmetatable(L, index);
    lua_pop(L, 2);
}

static int write_member(lua_State *L) {
    complete_reading(L, owner(L), 1);
    lua_settop(L, 3);
    lua_rawset(L, 1);
    return 0;
}

void push_reading(lua_State *L, sandbox *s, const sandbox_message *message, const sandbox_bytes *captures) {
    uint32_t count = (uint32_t)(message->offsets.count / 4);
    size_t own = message->extras.count, more = captures ? captures->count : 0;
    lua_createtable(L, 0, 1);
    block *b = lua_newuserdatauv(L, sizeof(block) + message->offsets.count + message->members.count + own + more, 0);
    b->member_count = count;
    b->members_length = (uint32_t)message->members.count;
    b->extras_length = (uint32_t)(own + more);
    uint8_t *at = (uint8_t *)(b + 1);
    if (count) memcpy(at, message->offsets.base, message->offsets.count);
    at += message->offsets.count;
    if (message->members.count) memcpy(at, message->members.base, message->members.count);
    at += message->members.count;
    if (own) memcpy(at, message->extras.base, own);
    if (more) memcpy(at + own, captures->base, more);
    lua_rawsetp(L, -2, &block_key);
    lua_rawgetp(L, LUA_REGISTRYINDEX, &metatable_key);
    lua_setmetatable(L, -2);
}

void open_readings(lua_State *L) {
    lua_createtable(L, 0, 2);
    lua_pushcfunction(L, look_up);
    lua_setfield(L, -2, "__index");
    lua_pushcfunction(L, write_member);
    lua_setfield(L, -2, "__newindex");
    owner(L)->reading_metatable = lua_topointer(L, -1);
    lua_rawsetp(L, LUA_REGISTRYINDEX, &metatable_key);
}

// MARK: Messages

int32_t sandbox_read_message(
    sandbox_message *m, const void *topic, size_t topic_length, const void *payload, size_t payload_length, bool is_retained, double time
) {
    sandbox_clear(&m->members);
    sandbox_clear(&m->offsets);
    sandbox_clear(&m->extras);
    int32_t count = sandbox_put_reading(&m->members, &m->offsets, payload, payload_length);
    if (count < 0) return count;
    sandbox_put_name(&m->extras, "topic", 5);
    sandbox_put_string(&m->extras, topic, (uint32_t)topic_length);
    sandbox_put_name(&m->extras, "time", 4);
    sandbox_put_number(&m->extras, time);
    sandbox_put_name(&m->extras, "received_at", 11);
    sandbox_put_number(&m->extras, time);
    sandbox_put_name(&m->extras, "retained", 8);
    sandbox_put_tag(&m->extras, is_retained ? SANDBOX_TRUE : SANDBOX_FALSE);
    sandbox_put_name(&m->extras, "payload", 7);
    sandbox_put_string(&m->extras, payload, (uint32_t)payload_length);
    return count;
}

void sandbox_give_back_message(sandbox_message *m) {
    sandbox_give_back(&m->members);
    sandbox_give_back(&m->offsets);
    sandbox_give_back(&m->extras);
}
