import CLua

/// Lua as it comes, for comparison: what it gives for a chunk that returns a string.
enum StockLua {
    static func run(_ text: String) -> String {
        guard let state = luaL_newstate() else { return "no state" }
        defer { lua_close(state) }
        luaL_openlibs(state)
        let loaded = text.withCString { luaL_loadbufferx(state, $0, text.utf8.count, "@chunk.lua", "t") }
        if loaded == LUA_OK { _ = lua_pcallk(state, 0, 1, 0, 0, nil) }
        var length = 0
        guard let bytes = lua_tolstring(state, -1, &length) else { return "no string" }
        return String(decoding: UnsafeRawBufferPointer(start: bytes, count: length), as: UTF8.self)
    }
}
