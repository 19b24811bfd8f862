import LuaScripting
import Testing

/// Our own matcher, `format`, `table` and coroutines against Lua's, on many chunks that chance has made.
@Suite struct StockComparisonTests {
    /// Prints results and errors in one way on both sides.
    static let prelude = #"""
        local out = {}
        local function show(name, ...)
          local t = table.pack(...)
          for i = 1, t.n do
            local v = t[i]
            t[i] = type(v) == "number" and (math.type(v) .. ":" .. string.format("%.14g", v)) or tostring(v)
          end
          if t[1] == "false" then t[2] = t[2]:gsub("^[^ ]*:%d+: ", ""):gsub("^bad argument #%d to '[^']*' ", ""):gsub("'%?'", "?") end
          out[#out + 1] = name .. " " .. table.concat(t, "|", 1, t.n)
        end
        """#

    @Test func `texts that are numbers are reckoned with as Lua does`() throws {
        let texts = ["'10'", "'3.5'", "'0x10'", "' 7 '", "'abc'", "''", "'1e2'", "10", "nil", "{}"]
        var text = Self.prelude + "\n"
        for left in texts {
            for right in texts {
                for (number, sign) in ["+", "-", "*", "/", "//", "%", "^", "|", "..", "<", "=="].enumerated() {
                    text += "show(\"\(number)\", pcall(function(a, b) return a \(sign) b end, \(left), \(right)))\n"
                }
            }
            text += "show('minus', pcall(function(a) return -a end, \(left)))\n"
        }
        try compare(text + "\nreturn table.concat(out, '\\n')")
    }

    @Test(arguments: 0..<40)
    func `patterns match as Lua's do`(_ seed: UInt64) throws {
        var chance = Chance(seed: seed)
        var text = Self.prelude
        for number in 0..<60 {
            let subject = chance.text(of: Self.subjectParts, count: 0...12), pattern = chance.text(of: Self.patternParts, count: 0...7)
            let start = chance.pick(["1", "1", "0", "-1", "3", "-3", "20"])
            let replacement = chance.pick([
                #""<%0>""#, #""%1%1""#, "{a = 'A', b = 1, ['1'] = false}", "function(a, b) return b and a .. b end", #""%%x%2""#, "7",
            ])
            text += """

                local s, p = \(subject), \(pattern)
                show("find \(number)", pcall(string.find, s, p, \(start)))
                show("match \(number)", pcall(string.match, s, p, \(start)))
                show("gsub \(number)", pcall(string.gsub, s, p, \(replacement)))
                show("gsub2 \(number)", pcall(string.gsub, s, p, \(replacement), 2))
                show("gmatch \(number)", pcall(function()
                  local t = {}
                  for a, b in s:gmatch(p) do
                    t[#t + 1] = tostring(a) .. "," .. tostring(b)
                    if #t > 50 then break end
                  end
                  return table.concat(t, ";")
                end))
                """
            if number % 20 == 19 {
                try compare(text + "\nreturn table.concat(out, '\\n')")
                text = Self.prelude
            }
        }
    }

    private static let subjectParts = [
        "a", "b", "ab", "aab", "A", "1", "42", " ", "\\n", "(", ")", "((a))", ".", "%", "-", "]", "^", "$", "\\0", "\\255", "x=1", ",",
    ]
    private static let patternParts = [
        "a", "b", "a*", "a-", "a+", "a?", ".", ".-", ".*", "%a", "%a+", "%d*", "%s", "%w+", "%p", "%S", "%x", "[ab]", "[^ab]", "[a-c]+",
        "[%a_]", "[]]", "[^]]",
        "[a-]", "(a)", "(.-)", "()", "(a*(.)%w)", "%1", "%2", "%b()", "%bxa", "%f[%w]", "%f[^%z]", "^", "$", "%%", "%.", "\\0", "(", ")",
        "[", "%", "[%", "[a", "%b(", "%f", "*", "-", "x=(%d)",
    ]

    @Test(arguments: 0..<20)
    func `format writes as Lua's does`(_ seed: UInt64) throws {
        var chance = Chance(seed: seed &+ 1000)
        var text = Self.prelude
        for number in 0..<60 {
            let flags = chance.text(of: ["-", "+", " ", "#", "0"], count: 0...2).dropFirst().dropLast()
            let width = chance.pick(["", "", "5", "12", "99"]), precision = chance.pick(["", "", ".0", ".3", ".", ".20"])
            let conversion = chance.pick(["d", "i", "x", "X", "o", "c", "e", "E", "f", "g", "G", "a", "s", "s", "q"])
            let value = chance.pick([
                "0", "1", "-1", "65", "3.0", "2.5", "-0.0", "1e100", "1/0", "-1/0", "math.mininteger", "'text'", "'12'", "('long'):rep(40)",
                "'a\\n\\0b\\r\\0019'", "nil", "true", "'0x10'",
            ])
            let spec = conversion == "q" ? "%q" : "%\(flags)\(width)\(precision)\(conversion)"
            text +=
                "\nshow(\"\(number) \(spec.replacing("%", with: "%%")) \(value.replacing("\\", with: "\\\\"))\", pcall(string.format, '[\(spec)]%%', \(value)))"
        }
        try compare(text + "\nreturn table.concat(out, '\\n')")
    }

    @Test(arguments: 0..<10)
    func `tables are sorted, cut and moved as Lua's are`(_ seed: UInt64) throws {
        var chance = Chance(seed: seed &+ 2000)
        var text = Self.prelude
        for number in 0..<30 {
            let elements = (0..<chance.number(in: 0...12)).map { _ in "\(chance.number(in: -20...20))" }.joined(separator: ", ")
            let (a, b, c) = (chance.number(in: -1...8), chance.number(in: -1...14), chance.number(in: 1...9))
            text += """

                local t = {\(elements)}
                show("sort \(number)", pcall(function() local u = table.move(t, 1, #t, 1, {}) table.sort(u) return table.concat(u, ",") end))
                show("down \(number)", pcall(function() local u = table.move(t, 1, #t, 1, {}) table.sort(u, function(x, y) return x > y end) return table.concat(u, ",") end))
                show("insert \(number)", pcall(function() local u = {table.unpack(t)} table.insert(u, \(a), 99) return table.concat(u, ",") end))
                show("remove \(number)", pcall(function() local u = {table.unpack(t)} local x = table.remove(u, \(a)) return x, #u, table.concat(u, ",") end))
                show("move \(number)", pcall(function() local u = table.move(t, \(c), \(b), \(a)) return table.concat(u, ",", 1, #u) end))
                show("concat \(number)", pcall(table.concat, t, "-", \(c), math.min(\(b), #t)))
                show("unpack \(number)", pcall(table.unpack, t, \(a), \(b)))
                """
            if number % 10 == 9 {
                try compare(text + "\nreturn table.concat(out, '\\n')")
                text = Self.prelude
            }
        }
    }

    @Test(arguments: [
        "show('a', pcall(pcall)) show('b', pcall(error, 'x', 0)) show('c', pcall(error)) show('d', pcall(error, nil))",
        "show('a', xpcall(function(a, b) return a + b end, error, 1, 2)) show('b', xpcall(error, function(m) return m .. '!' end, 'x'))",
        "show('a', select('#', pcall(function() return nil, nil end))) show('b', pcall(xpcall)) show('c', select(2, pcall(error, {1})) ~= nil)",
        "local co = coroutine.create(function(a, b) local c = coroutine.yield(a + b) local d, e = coroutine.yield(c * 2) return d, e end) "
            + "show('1', coroutine.resume(co, 1, 2)) show('2', coroutine.resume(co, 5)) show('3', coroutine.resume(co, 'x', 'y')) "
            + "show('4', coroutine.resume(co)) show('5', coroutine.status(co))",
        "local co = coroutine.wrap(function() error('in it', 0) end) show('a', pcall(co)) show('b', pcall(co))",
        "local co = coroutine.create(function() coroutine.yield() end) coroutine.resume(co) show('a', coroutine.close(co)) show('b', coroutine.status(co))",
        "local co co = coroutine.create(function() show('in', coroutine.status(co), coroutine.isyieldable(), coroutine.resume(co)) end) coroutine.resume(co)",
        "local g = coroutine.wrap(function() for i = 1, 3 do coroutine.yield(i) end end) for i in g do show('i', i) if i == 3 then break end end",
        "show('a', pcall(function() local t = coroutine.wrap(function() return pcall(function() coroutine.yield(1) error('after', 0) end) end) return t(), t() end))",
        "show('n', tostring(nil), tostring(1.5), tostring(10), tostring(1e15), tostring(2^53), tostring(-0.0), 1e100)",
        "show('t', tostring(setmetatable({}, {__tostring = function() return 'mine' end})), tostring(setmetatable({}, {__name = 'N'})):sub(1, 1))",
        "local t = {10, 20, 30} local s = 0 for k, v in pairs(t) do s = s + k * v end show('s', s) for i, v in ipairs(t) do s = s + v end show('s', s)",
        "show('m', getmetatable(setmetatable({}, {__metatable = 5})), pcall(setmetatable, setmetatable({}, {__metatable = 1}), {}))",
        "local t = setmetatable({}, {__pairs = function(t) return function(_, k) if not k then return 1, 'one' end end, t, nil end}) for k, v in pairs(t) do show('p', k, v) end",
        "show('r', ('ab'):rep(3, '-'), ('ab'):rep(0), ('ab'):rep(-1), ('x'):rep(1, 'sep'))",
        "show('u', utf8.len('grüße'), utf8.char(228, 8364), #utf8.char(0x10FFFF)) for p, c in utf8.codes('aä') do show('c', p, c) end",
        "show('i', math.tointeger(3.0), 7 // 2, 7 % -3, 1 << 62, 5 // 0.0, math.type(1), math.ult(1, -1)) show('e', pcall(function() return 1 // 0 end))",
    ])
    func `the base library behaves as Lua's`(_ text: String) throws {
        try compare(Self.prelude + "\n" + text + "\nreturn table.concat(out, '\\n')")
    }

    private func compare(_ text: String) throws {
        let expected = StockLua.run(text).split(separator: "\n", omittingEmptySubsequences: false)
        let values = try LuaState(limits: LuaLimits(instructions: 500_000_000, wallTime: nil)).load(text, name: "chunk.lua")
        let found: [Substring]
        switch values.first {
        case .string(let text): found = text.split(separator: "\n", omittingEmptySubsequences: false)
        case .bytes(let bytes): found = String(decoding: bytes, as: UTF8.self).split(separator: "\n", omittingEmptySubsequences: false)
        default: found = []
        }
        #expect(found.count == expected.count)
        for (ours, theirs) in zip(found, expected) where ours != theirs {
            let number = ours.split(separator: " ").dropFirst().first.flatMap { Int($0) } ?? -1
            let cause = text.split(separator: "\n").filter { $0.hasPrefix("local s, p = ") }
            Issue.record("ours: \(ours) || Lua's: \(theirs) || \(cause.isEmpty ? "" : cause[max(0, number) % cause.count])")
            return
        }
    }
}

/// A small generator, so that a failure comes again.
struct Chance {
    private var state: UInt64
    init(seed: UInt64) { state = seed &* 0x9E37_79B9_7F4A_7C15 &+ 1 }

    mutating func next() -> UInt64 {
        state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
        return state >> 33
    }
    mutating func number(in range: ClosedRange<Int>) -> Int { range.lowerBound + Int(next() % UInt64(range.count)) }
    mutating func pick(_ choices: [String]) -> String { choices[Int(next() % UInt64(choices.count))] }
    /// A literal of Lua.
    mutating func text(of parts: [String], count: ClosedRange<Int>) -> String {
        "'" + (0..<number(in: count)).map { _ in pick(parts) }.joined() + "'"
    }
}
