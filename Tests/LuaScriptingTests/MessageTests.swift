import LuaScripting
import RuleEngine
import Testing

/// What newcomers are told of their mistakes.
@Suite struct MessageTests {
    @Test(arguments: [
        (
            "automation {}:on_start(function() mqtt.publsh('a') end)",
            "1 attempt to call a nil value (field 'publsh'): did you mean 'publish'?"
        ),
        ("automation {}:on_readings('x', print)", "1 attempt to call a nil value (method 'on_readings'): did you mean 'on_reading'?"),
        ("automaton {}", "1 attempt to call a nil value (global 'automaton'): did you mean 'automation'?"),
        ("\nnosuchthing()", "2 attempt to call a nil value (global 'nosuchthing')"),
        ("break\n\n", "1 break outside loop at line 1"),
        ("local x\ngoto nowhere\n", "2 no visible label 'nowhere' for <goto> at line 2"),
        ("local x\nlocal function f()\n  x = 1\n\n", "2 'end' expected (to close 'function' at line 2) near <eof>"),
        ("if x then\n  x = (1\nend\n", "3 ')' expected (to close '(' at line 2) near 'end'"),
        ("automation {}:on_start(function() error('x at line 7') end)", "1 x at line 7"),
        (
            "automation {}:on_start(function() notify { receiver = 'a', sumary = 'b' } end)",
            "1 notify: there is no 'sumary': there are receiver, summary, description, severity and labels"
        ),
        ("automation {}:on_start(function() notify 'a' end)", "1 notify: wants a table with 'receiver' and 'summary'"),
    ])
    func `a mistake is told with its line and what may have been meant`(_ text: String, _ expected: String) {
        #expect(Stage(text).lines == ["0 fault \(expected)"])
    }

    @Test func `a first line for the shell is passed over, and counts as a line`() {
        #expect(Stage("#!/usr/bin/env nodesphere\nautomation {}:on_start(function() log.info('there') end)").lines == ["0 info there"])
        #expect(Stage("#!/bin/sh\nnosuch()").lines == ["0 fault 2 attempt to call a nil value (global 'nosuch')"])
    }

    @Test func `a fault shows the line and the way there`() throws {
        let stage = Stage(
            """
            local function half(x)
              return x / nil
            end
            automation {}:on_start(function()
              local y = half(1)
            end)
            """)
        let fault = try #require(stage.rehearsal.runtime.statuses[0].lastFault)
        let file = "rules/automations/test.lua"
        #expect(
            fault.text == """
                \(file):2: attempt to perform arithmetic on a nil value
                2 |   return x / nil
                \(file):2: in function 'half'
                \(file):5: in a function of line 4
                """)
    }

    @Test func `a failure without a line has none`() {
        #expect(LuaFailure(file: "a.lua", message: "the state cannot be stored").description == "a.lua: the state cannot be stored")
        #expect(LuaFailure(file: "a.lua", message: "no").text(source: "x\n") == "a.lua: error: no\n")
        #expect(LuaFailure(file: "a.lua", line: 1, message: "no").text(source: "x\n") == "a.lua:1: error: no\n  |\n1 | x\n  |\n")
    }
}
