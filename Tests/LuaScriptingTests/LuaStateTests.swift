import CEL
import LuaScripting
import RuleEngine
import Testing

@Suite struct LuaStateTests {
    @Test func `values go in and come out as they were`() throws {
        let state = LuaState()
        let values: [LuaValue] = [
            .bool(true), .bool(false), .int(.min), .int(.max), .double(0.1), .double(-.infinity), .string(""), .string("grüße 🌡"),
            .bytes([0, 255, 0x80]), .array([]), .array([.int(1), .null, .string("x")]),
            .object([.init("a", .int(1)), .init("b", .array([.object([.init("c", .bool(true))])]))]),
        ]
        try state.load("function same(...) return ... end", name: "same.lua")
        let back = try state.call(global: "same") { writer in for value in values { writer.value(value) } }
        #expect(back == values)
    }

    @Test func `documents and CEL values become tables and numbers`() throws {
        let state = LuaState()
        try state.load("function look(d, v) return d.at, d.list[2], d.gone, v.n, #v.l, v.u end", name: "look.lua")
        let document: Document = ["at": .instant(Instant(milliseconds: 1500)), "list": [1, 2.5], "gone": .null]
        let map = try #require(
            CELMap([
                (key: .string("n"), value: .duration(nanoseconds: 2_500_000_000)), (key: .string("l"), value: .list([.null, .null])),
                (key: .string("u"), value: .uint(.max)),
            ]))
        let found = try state.call(global: "look") { writer in
            writer.value(document)
            writer.value(Value.map(map))
        }
        #expect(found == [.double(1.5), .double(2.5), .none, .double(2.5), .int(2), .double(18_446_744_073_709_551_616)])
    }

    @Test func `an error names file, line and the way there`() throws {
        let state = LuaState()
        let failure = try failure(
            state,
            """
            local function inner(t)
              return t.x.y
            end
            function outer() return 1 + inner({}) end
            outer()
            """)
        #expect(failure.file == "rules/automations/a.lua")
        #expect(failure.line == 2)
        #expect(failure.message == "attempt to index a nil value (field 'x')")
        #expect(failure.limit == nil)
        #expect(
            failure.traceback == """
                rules/automations/a.lua:2: in function 'inner'
                rules/automations/a.lua:4: in function 'outer'
                rules/automations/a.lua:5: in the file itself
                """)
    }

    @Test func `a mistake of grammar names its line, bytecode is refused`() throws {
        let state = LuaState()
        let grammar = try failure(state, "local x = 1\nlocal = 2\n")
        #expect(grammar.line == 2)
        #expect(grammar.message == "<name> expected near '='")
        #expect(grammar.file == "rules/automations/a.lua")
        let bytecode = try failure(state, "\u{1B}Lua")
        #expect(bytecode.message.contains("attempt to load a binary chunk"))
    }

    @Test func `a long name of a file does not hide the place`() throws {
        let name = String(repeating: "deep/", count: 30) + "a.lua"
        let failure = #expect(throws: LuaFailure.self) { try LuaState().load("\n\nerror('x')", name: name) }
        #expect(failure?.file == name)
        #expect(failure?.line == 3)
        #expect(failure?.message == "x")
    }

    @Test func `a host function gets its arguments and answers, raises or ends the run`() throws {
        let state = LuaState()
        var seen: [[LuaValue]] = []
        var places: [Int] = []
        state.define("greet") { call in
            seen.append(call.arguments)
            places.append(call.place.line)
            return .value(.string("hello \(call[0].text ?? "?")"))
        }
        state.define("device.config") { call in call[0].text == nil ? .raise("device.config wants a name") : .nothing }
        state.define("flood") { _ in .exceed(.outputRate, "output rate: too much") }
        #expect(try state.load("return greet('x', {1, 2})", name: "a.lua") == [.string("hello x")])
        #expect(seen == [[.string("x"), .array([.int(1), .int(2)])]])
        #expect(places == [1])
        let caught = try state.load("return pcall(device.config)", name: "a.lua")
        #expect(caught == [.bool(false), .string("device.config wants a name")])
        let raised = try failure(state, "\ndevice.config(5)")
        #expect(raised.message == "device.config wants a name")
        #expect(raised.line == 2)
        let flooded = try failure(state, "pcall(flood) return 1")
        #expect(flooded.limit == .outputRate)
        #expect(flooded.message == "output rate: too much")
        #expect(try state.load("return 7", name: "a.lua") == [.int(7)])
    }

    @Test func `a run without results has none, whatever host functions were called with`() throws {
        let state = LuaState()
        state.define("host") { _ in .nothing }
        #expect(try state.load("host(1, 2)", name: "a.lua") == [])
        #expect(try state.load("return host(1, 2)", name: "a.lua") == [])
    }

    @Test func `a handler waits without a thread, and goes on with what its wait gives`() throws {
        let state = LuaState()
        var functions: [LuaFunction] = []
        var log: [LuaValue] = []
        state.define("on", takesFunctions: true) { call in
            if let function = call[0].function { functions.append(function) }
            return .nothing
        }
        state.define("wait") { call in call.mayWait ? .wait : .raise("waits only in a handler") }
        state.define("note") { call in
            log += call.arguments
            return .nothing
        }
        try state.load(
            """
            on(function(x)
              local co = coroutine.wrap(function() local got = wait() coroutine.yield(got) note(pcall(wait)) end)
              note(x + co())
              co()
              note(wait())
            end)
            """, name: "a.lua")
        let function = try #require(functions.first)
        let first = try #require(try state.start(function) { $0.int(1) })
        let second = try #require(try state.start(function) { $0.int(100) })
        #expect(try state.resume(first) { $0.int(10) } == first)
        #expect(try state.resume(second) { $0.int(20) } == second)
        #expect(log == [.int(11), .int(120)])
        #expect(try state.resume(first) { $0.string("inner") } == first)
        #expect(try state.resume(first) { $0.string("end") } == nil)
        #expect(log == [.int(11), .int(120), .bool(true), .string("inner"), .string("end")])
        state.drop(second)
        #expect(throws: LuaFailure.self) { try state.resume(second) { _ in } }
        #expect(try failure(state, "wait()").message == "waits only in a handler")
        #expect(
            try failure(state, "table.sort({2, 1}, function() wait() end)").message == "waits only in a handler")
    }

    @Test func `handles have methods and nothing else`() throws {
        let state = LuaState()
        state.defineMethod("name", ofKind: 1, named: "automation") { call in
            guard case .handle(let kind, let number) = call[0] else { return .raise("no handle") }
            return .value(.string("\(kind)/\(number)"))
        }
        state.set("vent", .handle(kind: 1, number: 42))
        #expect(
            try state.load("return vent:name(), tostring(vent), getmetatable(vent)", name: "a.lua") == [
                .string("1/42"), .string("automation"), .string("automation"),
            ])
        #expect(try failure(state, "vent.x = 1").message == "nothing can be set in this value")
    }

    @Test func `what cannot be handed over is refused by what it is`() throws {
        let state = LuaState()
        state.define("take") { _ in .nothing }
        let cases = [
            ("take({f = function() end})", "a function cannot be handed over or stored"),
            ("local t = {} t.t = t take(t)", "a table that is nested deeper than 32 (or holds itself) cannot be handed over"),
            ("take({1, 2, x = 3})", "a table with both numbers and names as keys cannot be handed over"),
            ("take({[{}] = 1})", "a table with a table as a key has no order to go through: use strings or numbers"),
            ("take(coroutine.create(function() end))", "a thread cannot be handed over or stored"),
        ]
        for (text, message) in cases { #expect(try failure(state, text).message == message, "\(text)") }
        #expect(
            try state.load("take({[3] = 1, [1.5] = 2}) return {[3] = 1, [1.5] = 2}", name: "a.lua") == [
                .object([.init("1.5", .int(2)), .init("3", .int(1))])
            ])
    }

    private func failure(_ state: LuaState, _ text: String) throws -> LuaFailure {
        try #require(throws: LuaFailure.self) { try state.load(text, name: "rules/automations/a.lua") }
    }
}
