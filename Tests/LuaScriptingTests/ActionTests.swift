import LuaScripting
import RuleEngine
import Testing

/// Functions that automations offer to the actions of rules.
@Suite struct ActionTests {
    private static let fan = """
        local fan = automation { name = "fan" }
        fan:action("dry", function(alert, arguments)
          mqtt.publish("begin", alert.labels.device .. " " .. arguments.level)
          sleep(arguments.seconds or 0.001)
          mqtt.publish("end", alert.labels.device)
        end)
        fan:action("wait", function(alert)
          local m = wait_for("answer/{device}", { timeout = 10 })
          mqtt.publish("answered", alert.labels.device .. (m and m.value or "?"))
        end)
        fan:action("fail", function() error("no fan", 0) end)
        """

    @Test func `an action gets alert and arguments; calls for one alert stand in line, those for others do not`() {
        let stage = Stage(Self.fan)
        stage.act("fan", "dry", "a", ["level": 1, "seconds": 10], at: 1)
        stage.act("fan", "dry", "a", ["level": "last", "seconds": 1], at: 2)
        stage.act("fan", "dry", "b", ["level": 2.5, "seconds": 1], at: 3)
        stage.pass(to: 100)
        #expect(stage.published == ["1 begin a 1", "3 begin b 2.5", "4 end b", "11 end a", "11 begin a last", "12 end a"])
    }

    @Test func `labels of the alert are captures where it waits`() {
        let stage = Stage(Self.fan)
        stage.act("fan", "wait", "a", at: 1)
        stage.reading("answer/b", "1", at: 2)
        stage.reading("answer/a", "2", at: 3)
        stage.pass(to: 100)
        #expect(stage.published == ["3 answered a2"])
    }

    @Test func `an action that fails is a fault of the script`() {
        let stage = Stage(Self.fan)
        stage.act("fan", "fail", "a", at: 1)
        #expect(stage.published == ["1 fault 0 no fan"] || stage.published.first?.hasSuffix("no fan") ?? false)
    }

    @Test(arguments: [("fen", "dry", "there is no automation 'fen'"), ("fan", "dri", "the automation offers no action 'dri'")])
    func `what cannot be called is told, and does not count against the script`(_ name: String, _ function: String, _ reason: String) {
        let stage = Stage(Self.fan)
        for second in 1...10 {
            stage.act(name, function, "a", at: Int64(second))
        }
        #expect(stage.published.count == 10)
        #expect(stage.published[0] == "1 fault 0 an action of g/Wet was not run, '\(name).\(function)': \(reason)")
        #expect(stage.rehearsal.runtime.statuses.map(\.state) == ["running"])
    }

    @Test func `a disabled script says so to whoever calls it`() {
        let stage = Stage(Self.fan)
        for second in 1...5 { stage.act("fan", "fail", "a", at: Int64(second)) }
        stage.act("fan", "dry", "a", at: 6)
        #expect(stage.published.last?.contains("'fan.dry': the automation is disabled until 1970-01-01T00:01:05") ?? false)
    }

    @Test(arguments: [
        (#"fan:action("dry", function() end)"#, "action: there is an action 'dry' already"),
        (#"fan:action("a b", function() end)"#, "action: wants the action's name first: letters, digits, '-' and '_'"),
        (#"fan:action("x")"#, "action: wants a function"),
        (
            #"fan:action("x", function() end, { key = "device" })"#,
            "action: 'key' must name a capture of the filter: there is no '{device}'"
        ),
    ])
    func `what cannot be registered is an error at load`(_ line: String, _ message: String) {
        let stage = Stage(Self.fan + "\n" + line)
        #expect(stage.published == ["0 fault 12 \(message)"])
    }

    @Test func `what scripts offer is known without starting them`() {
        let (offers, subscriptions, faults) = AutomationRuntime.examine([
            ("b.lua", "local x = automation { name = \"fan\" }"), ("a.lua", Self.fan), ("c.lua", "local = 5"),
            ("d.lua", "local a = automation {} a:on_start(function() error('never') end) a:on_reading('in/{x}', function() end)"),
        ])
        #expect(
            offers == [
                ScriptOffer(name: "fan", file: "a.lua", actions: ["dry", "wait", "fail"]),
                ScriptOffer(name: "fan", file: "b.lua", actions: nil), ScriptOffer(name: "c", file: "c.lua", actions: nil),
                ScriptOffer(name: "d", file: "d.lua", actions: []),
            ])
        #expect(subscriptions.map(\.filter.subscription) == ["in/+"])
        #expect(faults.map(\.file) == ["b.lua", "c.lua"])
    }
}
