import LuaScripting
import Testing

/// What a hostile script tries, and what stops it.
struct Attack: Sendable, CustomTestStringConvertible {
    enum End: Sendable {
        /// The run ends with this limit, whatever the script does about it.
        case limit(LuaLimit)
        /// An error that says this.
        case refused(String)
        /// Nothing bad happens; the script gives this text.
        case harmless(String)
    }
    let name: String
    let text: String
    let end: End
    /// Bounded by nothing but the wall clock: work inside one instruction.
    var needsClock = false
    /// What it leaves behind is all the memory there is: the next run ends with the limit too.
    var fillsState = false
    var testDescription: String { name }

    init(_ name: String, _ text: String, _ end: End, needsClock: Bool = false, fillsState: Bool = false) {
        self.name = name
        self.text = text
        self.end = end
        self.needsClock = needsClock
        self.fillsState = fillsState
    }
}

@Suite struct AttackTests {
    static let limits = LuaLimits(instructions: 2_000_000, wallTime: nil, memory: 4 << 20, stringLength: 256 << 10, exchange: 64 << 10)

    @Test(
        arguments: Attack.loops + Attack.swallowing + Attack.memory + Attack.cFunctions + Attack.reaching + Attack.depth
            + Attack.handingOver)
    func `an attack ends by name and leaves a state that works`(_ attack: Attack) throws {
        var limits = Self.limits
        if attack.needsClock { limits.wallTime = .milliseconds(150) }
        let state = LuaState(limits: limits, seed: 1)
        state.define("host") { _ in .nothing }
        state.define("wait") { call in call.mayWait ? .wait : .raise("cannot wait here") }
        let started = ContinuousClock.now
        do {
            let values = try state.load(attack.text, name: "attack.lua")
            guard case .harmless(let text) = attack.end else {
                Issue.record("\(attack.name) was let through: \(values)")
                return
            }
            #expect(values.map { $0.text ?? "\($0)" }.joined(separator: " ") == text)
        } catch {
            switch attack.end {
            case .limit(let limit):
                #expect(error.limit == limit, "\(error)")
                #expect(error.message.contains("limit"), "\(error)")
                #expect(error.line > 0)
            case .refused(let message):
                #expect(error.limit == nil)
                #expect(error.message.contains(message), "\(error)")
            case .harmless: Issue.record("\(attack.name): \(error)")
            }
        }
        // Far above what it takes, far below what an attack that got through would.
        #expect(started.duration(to: .now) < .seconds(60))
        #expect(state.memory <= limits.memory)
        if attack.fillsState {
            let failure = #expect(throws: LuaFailure.self) {
                try state.load("local t = {} for i = 1, 1e4 do t[i] = {} end", name: "after.lua")
            }
            #expect(failure?.limit == .memory)
            return
        }
        #expect(try state.load("local t = {} for i = 1, 100 do t[i] = ('x'):rep(i) end return #t", name: "after.lua") == [.int(100)])
    }

    @Test func `there are at least sixty attacks`() {
        let all = Attack.loops + Attack.swallowing + Attack.memory + Attack.cFunctions + Attack.reaching + Attack.depth + Attack.handingOver
        #expect(all.count >= 60)
        #expect(Set(all.map(\.name)).count == all.count)
    }

    @Test func `one state's string library is not another's`() throws {
        let bad = LuaState(), good = LuaState()
        try bad.load("string.upper = function() return 'stolen' end string.format = nil", name: "bad.lua")
        #expect(try bad.load("return ('x'):upper()", name: "bad.lua") == [.string("stolen")])
        #expect(try good.load("return ('x'):upper(), string.format('%d', 1)", name: "good.lua") == [.string("X"), .string("1")])
    }

    @Test func `a failed run's memory is given back`() throws {
        let state = LuaState(limits: Self.limits)
        #expect(throws: LuaFailure.self) { try state.load("local t = {} for i = 1, 1e9 do t[i] = {i} end", name: "a.lua") }
        #expect(state.memory < 200_000)
        #expect(state.memoryPeak <= Self.limits.memory)
    }
}

extension Attack {
    static let loops: [Attack] = [
        Attack("while", "while true do end", .limit(.instructions)),
        Attack("repeat", "repeat until false", .limit(.instructions)),
        Attack("goto", "::a:: goto a", .limit(.instructions)),
        Attack("numeric for", "for i = 1, math.huge do end", .limit(.instructions)),
        Attack("iterator without an end", "for _ in function() return 1 end do end", .limit(.instructions)),
        Attack("tail calls", "local function f() return f() end f()", .limit(.instructions)),
        Attack("metamethod ping-pong", "local t = setmetatable({}, {__call = function(s) return s() end}) t()", .limit(.instructions)),
        Attack(
            "length of a liar", "local t = setmetatable({}, {__len = function() return 1 << 62 end}) table.insert(t, 1, 0)",
            .limit(.instructions)),
        Attack(
            "removing from a liar", "local t = setmetatable({}, {__len = function() return 1 << 62 end}) table.remove(t, 1)",
            .limit(.instructions)),
        Attack(
            "concatenating a liar", "local t = setmetatable({}, {__index = function() return '' end}) table.concat(t, '', 1, 1 << 62)",
            .limit(.instructions)),
        Attack("moving a lot", "table.move({}, 1, 1 << 60, 2)", .limit(.instructions)),
        Attack(
            "a pairs that never ends",
            "for _ in pairs(setmetatable({}, {__pairs = function(t) return function() return 1 end, t, nil end})) do end",
            .limit(.instructions)),
    ]

    static let swallowing: [Attack] = [
        Attack("pcall around the loop", "while true do pcall(function() while true do end end) end", .limit(.instructions)),
        Attack(
            "pcall in pcall in pcall", "local function f(g) return function() while true do pcall(g) end end end f(f(f(function() end)))()",
            .limit(.instructions)),
        Attack(
            "xpcall with a handler that loops", "xpcall(function() while true do end end, function() while true do end end)",
            .limit(.instructions)),
        Attack(
            "xpcall with a handler that errs", "local function h() error(1) end while true do xpcall(error, h) end", .limit(.instructions)),
        Attack(
            "xpcall of a handler in a handler",
            "local function h() return select(2, xpcall(function() while true do end end, h)) end xpcall(function() while true do end end, h)",
            .limit(.instructions)),
        Attack(
            "loop in a coroutine", "while true do coroutine.resume(coroutine.create(function() while true do end end)) end",
            .limit(.instructions)),
        Attack(
            "loop in a wrapped coroutine under pcall", "while true do pcall(coroutine.wrap(function() while true do end end)) end",
            .limit(.instructions)),
        Attack("a coroutine for every few instructions", "while true do coroutine.wrap(function() end)() end", .limit(.instructions)),
        Attack(
            "many yields", "local co = coroutine.wrap(function() while true do coroutine.yield() end end) while true do co() end",
            .limit(.instructions)),
        Attack(
            "loop in __close",
            "local ok = pcall(function() local x <close> = setmetatable({}, {__close = function() while true do end end}) error('x') end) while true do end",
            .limit(.instructions)),
        Attack(
            "loop in __close after a limit",
            "pcall(function() local x <close> = setmetatable({}, {__close = function() while true do end end}) while true do end end) return 1",
            .limit(.instructions)),
        Attack(
            "loop in coroutine.close",
            "local co = coroutine.create(function() local x <close> = setmetatable({}, {__close = function() while true do end end}) coroutine.yield() end) coroutine.resume(co) coroutine.close(co)",
            .limit(.instructions)),
        Attack("loop in __tostring", "tostring(setmetatable({}, {__tostring = function() while true do end end}))", .limit(.instructions)),
        Attack("loop in a comparison", "table.sort({3, 2, 1}, function() while true do end end)", .limit(.instructions)),
        Attack("loop in a replacement", "pcall(string.gsub, 'x', 'x', function() while true do end end) return 1", .limit(.instructions)),
        Attack("memory caught", "while true do pcall(function() local t = {} for i = 1, 1e9 do t[i] = i end end) end", .limit(.memory)),
        Attack(
            "memory caught in a coroutine",
            "local ok = coroutine.resume(coroutine.create(function() local t = {} for i = 1, 1e9 do t[i] = i end end)) return 1",
            .limit(.memory)),
    ]

    static let memory: [Attack] = [
        Attack("table", "local t = {} for i = 1, 1e9 do t[i] = i end", .limit(.memory)),
        Attack("tables", "local t = {} while true do t = {t} end", .limit(.memory)),
        Attack("closures", "local f = print while true do local g = f f = function() return g end end", .limit(.memory)),
        Attack("names", "local t = {} for i = 1, 1e9 do t['k' .. i] = true end", .limit(.memory)),
        Attack("coroutines", "local t = {} while true do t[#t + 1] = coroutine.create(function() end) end", .limit(.instructions)),
        Attack("string doubling", "local s = 'x' while true do s = s .. s end", .limit(.stringLength)),
        Attack("string doubling under pcall", "local s = 'x' while true do pcall(function() s = s .. s end) end", .limit(.stringLength)),
        Attack("global namespace", "for i = 1, 1e9 do _G['v' .. i] = i end", .limit(.memory), fillsState: true),
        Attack("varargs", "local function f(...) return f(1, ...) end f()", .limit(.memory)),
        Attack("many big strings", "local t, k = {}, ('x'):rep(1000) for i = 1, 100 do t[i] = k:rep(200) end", .limit(.memory)),
        Attack(
            "garbage at the edge", "local k = {} for i = 1, 40000 do k[i] = {} end while true do local x = {{}} end", .limit(.instructions)),
        Attack("copies of a long string", "local s = ('x'):rep(200000) while true do local t = s .. 'y' end", .limit(.instructions)),
        Attack(
            "comparing long strings", "local a, b = ('x'):rep(200000) .. 'a', ('x'):rep(200000) .. 'a' while a == b do end",
            .limit(.wallTime), needsClock: true),
    ]

    static let cFunctions: [Attack] = [
        Attack("string.rep", "('x'):rep(1e9)", .limit(.stringLength)),
        Attack("string.rep of nothing", "return ('').rep('', 1 << 62)", .harmless("")),
        Attack("string.rep with a separator", "('').rep('', 1 << 40, 'ab')", .limit(.stringLength)),
        Attack("string.rep near the end of integers", "('xx'):rep(math.maxinteger)", .limit(.stringLength)),
        Attack("find with a bad pattern", "('a'):rep(100):find(('a-'):rep(5) .. 'b')", .limit(.instructions)),
        Attack("match with a bad pattern", "('a'):rep(3000):match(('a*'):rep(10) .. 'b')", .limit(.instructions)),
        Attack("gmatch with a bad pattern", "for _ in ('a'):rep(3000):gmatch(('a*'):rep(10) .. 'b') do end", .limit(.instructions)),
        Attack("gsub with a bad pattern", "('a'):rep(3000):gsub(('a?'):rep(25) .. ('a'):rep(25) .. 'b', '')", .limit(.instructions)),
        Attack(
            "a bad pattern under pcall", "while true do pcall(string.find, ('a'):rep(500), ('a-'):rep(5) .. 'b') end", .limit(.instructions)
        ),
        Attack(
            "pattern recursion", "return pcall(string.find, ('a'):rep(1000), ('(a'):rep(40))", .harmless("bool(false) too many captures")),
        Attack(
            "pattern depth", "return pcall(string.match, ('a'):rep(500), ('a?'):rep(400))", .harmless("bool(false) pattern too complex")),
        Attack("balanced match, again and again", "('('):rep(100000):gsub('%b()', '')", .limit(.instructions)),
        Attack("frontier with a long set", "('a'):rep(10000):gsub('%f[' .. ('b'):rep(10000) .. ']', '')", .limit(.instructions)),
        Attack(
            "plain find, long in long", "local s, p = ('a'):rep(250000), ('a'):rep(125000) .. 'b' while true do s:find(p, 1, true) end",
            .limit(.instructions)),
        Attack(
            "format with a long width", "return pcall(string.format, '%9999999d', 1)",
            .harmless("bool(false) invalid conversion specification: '%9999999d'")),
        Attack(
            "format of many",
            "local s = ('%s'):rep(1000) local t = {} for i = 1, 1000 do t[i] = ('x'):rep(1000) end string.format(s, table.unpack(t))",
            .limit(.stringLength)),
        Attack("format %p", "string.format('%p', {})", .refused("'%p' is not available to scripts")),
        Attack(
            "concat of much", "local t = {} for i = 1, 1000 do t[i] = ('x'):rep(1000) end return table.concat(t)", .limit(.stringLength)),
        Attack(
            "sort in order of chance",
            "local t = {} for i = 1, 20000 do t[i] = i end while true do table.sort(t, function() return math.random() > 0.5 end) end",
            .limit(.instructions)),
        Attack(
            "sort without a function", "local t = {} for i = 1, 50000 do t[i] = -i end while true do table.sort(t) end",
            .limit(.instructions)),
        Attack("unpack of much", "table.unpack({}, 1, 1e8)", .refused("too many results to unpack")),
        Attack("unpack past the integers", "table.unpack({}, math.mininteger, math.maxinteger)", .refused("too many results to unpack")),
        Attack("unpack again and again", "while true do select('#', table.unpack({}, 1, 50000)) end", .limit(.instructions)),
        Attack("string.byte of much", "local s = ('x'):rep(5000) while true do select('#', s:byte(1, -1)) end", .limit(.instructions)),
        Attack("upper of much", "local s = ('x'):rep(250000) while true do s:upper() end", .limit(.instructions)),
        Attack("utf8.len of much", "local s = ('x'):rep(250000) while true do utf8.len(s) end", .limit(.instructions)),
        Attack("tonumber of much", "local s = ('9'):rep(250000) while true do tonumber(s) end", .limit(.instructions)),
        Attack("next on a big table", "local t = {} for i = 1, 50000 do t[i] = i end while true do next(t) end", .limit(.instructions)),
        Attack("pairs on a big table", "local t = {} for i = 1, 50000 do t[i] = i end while true do pairs(t) end", .limit(.instructions)),
        Attack("string.pack padding", "string.pack('!16' .. ('i16'):rep(40000), table.unpack({}, 1, 40000))", .refused("bad argument")),
    ]

    static let reaching: [Attack] = [
        Attack("io", "io.open('/etc/passwd')", .refused("global 'io'")),
        Attack("os", "os.execute('id')", .refused("global 'os'")),
        Attack("debug", "debug.getregistry()", .refused("global 'debug'")),
        Attack("package", "package.loadlib('libc.so.6', 'system')", .refused("global 'package'")),
        Attack("require", "require 'os'", .refused("'require' is not available to scripts")),
        Attack("load", "load('return 1')", .refused("'load' is not available to scripts")),
        Attack("dofile", "dofile('/etc/passwd')", .refused("'dofile' is not available to scripts")),
        Attack("loadfile", "loadfile('/etc/passwd')", .refused("'loadfile' is not available to scripts")),
        Attack("string.dump", "string.dump(function() end)", .refused("'string.dump' is not available to scripts")),
        Attack("collectgarbage", "collectgarbage('stop')", .refused("'collectgarbage' is not available to scripts")),
        Attack("metatable of strings", "return tostring(getmetatable('').__index), getmetatable('')", .harmless("nil string")),
        Attack("a metatable for strings", "setmetatable('', {})", .refused("bad argument #1 to 'setmetatable'")),
        Attack("__gc", "setmetatable({}, {__gc = function() while true do end end})", .refused("'__gc' is not available to scripts")),
        Attack(
            "__gc put in later",
            "local m = {} setmetatable({}, m) m.__gc = function() while true do end end for i = 1, 1e4 do local x = {} end return 'ran'",
            .harmless("ran")),
        Attack("__mode", "setmetatable({}, {__mode = 'k'})", .refused("'__mode' (weak tables) is not available to scripts")),
        Attack(
            "a protected metatable", "local t = setmetatable({}, {__metatable = 1}) setmetatable(t, {})",
            .refused("cannot change a protected metatable")),
        Attack(
            "addresses of values", "return tostring({}), tostring(print), tostring(tostring), tostring(coroutine.create(pcall))",
            .harmless("table nil function thread")),
        Attack(
            "the handler's own coroutine", "return tostring(coroutine.running()), tostring(coroutine.isyieldable())", .harmless("nil false")
        ),
        Attack("yielding to the host", "coroutine.yield(1)", .refused("attempt to yield from outside a coroutine")),
        Attack("waiting at load", "wait()", .refused("cannot wait here")),
        Attack("waiting at load in a coroutine", "coroutine.wrap(wait)()", .refused("cannot wait here")),
        Attack("waiting in a comparison", "table.sort({2, 1}, function() wait() end)", .refused("cannot wait here")),
        Attack("the marker of a limit, caught and kept", "local ok, e = pcall(error) return tostring(e)", .harmless("nil")),
        Attack("bytecode as text", "\u{1B}LuaT\0", .refused("attempt to load a binary chunk")),
    ]

    static let depth: [Attack] = [
        Attack("recursion", "local function f() return 1 + f() end f()", .limit(.memory)),
        Attack(
            "recursion under pcall", "local function f() local ok, e = pcall(f) return e end return tostring(f())",
            .harmless("C stack overflow")),
        Attack(
            "recursion of __index",
            "local t = setmetatable({}, {}) getmetatable(t).__index = function(t, k) return t[k .. 'x'] end return t.a",
            .refused("C stack overflow")),
        Attack(
            "__index in a circle", "local a, b = {}, {} setmetatable(a, {__index = b}) setmetatable(b, {__index = a}) return a.x",
            .refused("'__index' chain too long")),
        Attack("coroutines in coroutines", "local function f() return coroutine.wrap(f)() end f()", .refused("C stack overflow")),
        Attack(
            "coroutines closed in coroutines",
            """
            local deepest = 0
            local function f(n)
              deepest = n
              local co = coroutine.create(function()
                local x <close> = setmetatable({}, {__close = function() f(n + 1) end})
                coroutine.yield()
              end)
              coroutine.resume(co)
              coroutine.close(co)
            end
            f(1)
            return tostring(deepest < 100)
            """, .harmless("true")),
        Attack("sort in sort", "local function f() table.sort({2, 1}, f) end f()", .refused("C stack overflow")),
        Attack("gsub in gsub", "local function f(s) return (s:gsub('.', f)) end f('x')", .refused("C stack overflow")),
        Attack(
            "tostring in tostring", "local t = {} setmetatable(t, {__tostring = function(x) return tostring(x) end}) tostring(t)",
            .refused("C stack overflow")),
        Attack(
            "parentheses", "return " + String(repeating: "(", count: 300) + "1" + String(repeating: ")", count: 300),
            .refused("C stack overflow")),
        Attack("blocks", String(repeating: "do ", count: 300) + String(repeating: "end ", count: 300), .refused("C stack overflow")),
        Attack("unary operators", "return " + String(repeating: "- ", count: 300) + "1", .refused("C stack overflow")),
        Attack("concatenation of many", "return " + String(repeating: "'a'..", count: 300) + "'a'", .refused("C stack overflow")),
        Attack("many local variables", (0..<250).map { "local v\($0) = 1 " }.joined(), .refused("too many local variables")),
    ]

    static let handingOver: [Attack] = [
        Attack("a circle", "local t = {} t[1] = t host(t)", .refused("nested deeper than 32")),
        Attack("a deep table", "local t = {} for i = 1, 40 do t = {t} end host(t)", .refused("nested deeper than 32")),
        Attack("a big table", "local t = {} for i = 1, 20000 do t[i] = i end host(t)", .refused("values of more than 65536 bytes")),
        Attack("a big string", "host(('x'):rep(100000))", .refused("values of more than 65536 bytes")),
        Attack(
            "shared tables, doubled", "local t = {1} for i = 1, 30 do t = {t, t} end host(t)", .refused("values of more than 65536 bytes")),
        Attack("a function", "host(host)", .refused("a function cannot be handed over or stored")),
        Attack("calls without an end", "while true do host() end", .limit(.instructions)),
        Attack("calls of much", "local s = ('x'):rep(60000) while true do host(s) end", .limit(.instructions)),
    ]
}
