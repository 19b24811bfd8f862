#include "CBareLua.h"
#include <stdlib.h>
#include <lauxlib.h>
#include <lua.h>
#include <lualib.h>
#include <malloc.h>

struct bare_lua {
    lua_State *L;
};

bare_lua *bare_lua_new(const char *text) {
    bare_lua *b = malloc(sizeof(bare_lua));
    b->L = luaL_newstate();
    luaL_openlibs(b->L);
    if (luaL_loadstring(b->L, text) != LUA_OK || lua_pcall(b->L, 0, 1, 0) != LUA_OK || lua_type(b->L, -1) != LUA_TFUNCTION) {
        bare_lua_free(b);
        return NULL;
    }
    return b;
}

bool bare_lua_call(bare_lua *b, int64_t count) {
    lua_State *L = b->L;
    for (int64_t i = 0; i < count; i++) {
        lua_pushvalue(L, -1);
        lua_createtable(L, 0, 6);
        lua_pushnumber(L, 21.5 + (double)(i & 15));
        lua_setfield(L, -2, "temperature");
        lua_pushinteger(L, 60);
        lua_setfield(L, -2, "limit");
        lua_pushnumber(L, 55.25);
        lua_setfield(L, -2, "humidity");
        lua_pushinteger(L, 98);
        lua_setfield(L, -2, "battery");
        lua_pushinteger(L, 120);
        lua_setfield(L, -2, "linkquality");
        lua_pushinteger(L, 2995);
        lua_setfield(L, -2, "voltage");
        if (lua_pcall(L, 1, 0, 0) != LUA_OK) return false;
    }
    return true;
}

void bare_lua_free(bare_lua *b) {
    lua_close(b->L);
    free(b);
}

int64_t heap_in_use(void) {
    struct mallinfo2 state = mallinfo2();
    return (int64_t)(state.uordblks + state.hblkhd);
}
