import LuaScripting
import RuleEngine
import Testing

/// A script that is loaded again while its handlers wait.
@Suite struct ReloadTests {
    private static func stage(_ reload: AutomationSettings.Reload, _ text: String) -> Stage {
        var settings = AutomationSettings()
        settings.reload = reload
        return Stage(text, settings: settings)
    }

    private static func script(_ word: String) -> String {
        """
        local a = automation { name = "a" }
        a:on_start(function(reason) mqtt.publish("start", reason) end)
        a:on_reading("t/{n}", function(r)
          state.begun = (state.begun or 0) + 1
          mqtt.publish("begin", "\(word)" .. r.n)
          sleep(10)
          state.ended = (state.ended or 0) + 1
          state.last = r.n
          mqtt.publish("end", "\(word)" .. r.n .. " " .. state.begun)
        end, { mode = "parallel" })
        """
    }

    private static func reload(_ stage: Stage, _ text: String, at second: Int64) {
        stage.rehearsal.load(file: "rules/automations/test.lua", text: text, reason: "reload", at: Instant(milliseconds: second * 1000))
    }

    @Test func `handlers that have begun go on in the old version, what comes is the new one's, and both share the state`() {
        let stage = Self.stage(.finish, Self.script("old"))
        stage.reading("t/1", "1", at: 0)
        Self.reload(stage, Self.script("new"), at: 5)
        stage.reading("t/2", "1", at: 6)
        #expect(stage.rehearsal.runtime.statuses.map(\.waiting) == [2])
        stage.pass(to: 100)
        #expect(
            stage.published == [
                "0 start start", "0 begin old1", "5 start reload", "6 begin new2", "10 end old1 2", "16 end new2 2",
            ])
        #expect(stage.rehearsal.runtime.state(of: "a") == ["begun": 2, "ended": 2, "last": "2"])
        #expect(stage.lines.last == #"17 store state/a {"begun":2,"ended":2,"last":"2"}"#)
        #expect(stage.rehearsal.runtime.statuses.map(\.waiting) == [0])
    }

    @Test func `with 'cancel' they are given up, and the state is kept`() {
        let stage = Self.stage(.cancel, Self.script("old"))
        stage.reading("t/1", "1", at: 0)
        Self.reload(stage, Self.script("new"), at: 5)
        stage.pass(to: 100)
        #expect(stage.published == ["0 start start", "0 begin old1", "5 start reload"])
        #expect(stage.rehearsal.runtime.state(of: "a") == ["begun": 1])
    }

    @Test func `a message ends the wait of an old version, functions of 'after' and what stands in line run, clocks do not`() {
        let old = """
            local a = automation {}
            a:every("4s", function() mqtt.publish("every", "old") end)
            a:on_reading("go", function(r)
              if r.value == 1 then after(20, function() mqtt.publish("after", "old") end) end
              local m = wait_for("door/{id}", { timeout = "1m" })
              mqtt.publish("got", "old" .. (m and m.id or "nothing"))
            end, { mode = "queued" })
            """
        let stage = Self.stage(.finish, old)
        stage.reading("go", "1", at: 0)
        stage.reading("go", "2", at: 1)
        Self.reload(stage, "automation {}:on_start(function(r) mqtt.publish('start', r) end)", at: 5)
        // The new version listens to nothing: what the old one waits for stays subscribed.
        #expect(stage.rehearsal.runtime.subscriptions.map(\.filter.subscription) == ["door/+"])
        stage.reading("door/a", "1", at: 8)
        stage.reading("door/b", "1", at: 9)
        stage.pass(to: 200)
        #expect(stage.published == ["4 every old", "5 start reload", "8 got olda", "9 got oldb", "20 after old"])
    }

    @Test func `a handler of an old version schedules for the new one`() {
        let stage = Self.stage(
            .finish, "automation { name = 'a' }:on_reading('t', function() sleep(10) schedule('10s', 'later', { n = 1 }) end)")
        stage.reading("t", "1", at: 0)
        Self.reload(stage, "automation { name = 'a' }:on_schedule('later', function(d) mqtt.publish('new', d.n) end)", at: 5)
        stage.pass(to: 100)
        #expect(stage.published == ["20 new 1"])
    }

    @Test func `a script that is taken away ends at once`() {
        let stage = Self.stage(.finish, Self.script("old"))
        stage.reading("t/1", "1", at: 0)
        stage.rehearsal.runtime.remove(file: "rules/automations/test.lua", at: Instant(milliseconds: 1000))
        stage.pass(to: 100)
        #expect(stage.published == ["0 start start", "0 begin old1"])
        #expect(stage.rehearsal.runtime.statuses.isEmpty)
    }

    @Test func `of many versions that wait, the last four go on`() {
        let stage = Self.stage(.finish, Self.script("v0"))
        for version in 1...6 {
            stage.reading("t/x", "1", at: Int64(version))
            Self.reload(stage, Self.script("v\(version)"), at: Int64(version))
        }
        stage.pass(to: 100)
        #expect(stage.published.filter { $0.contains(" end ") }.map { $0.split(separator: " ")[2] } == ["v2x", "v3x", "v4x", "v5x"])
    }

    @Test func `faults let a script rest twice as long each time`() {
        var settings = AutomationSettings()
        settings.faultsToDisable = 2
        settings.firstRest = .seconds(10)
        settings.longestRest = .seconds(25)
        let stage = Stage("automation {}:on_reading('t', function() error('x') end)", settings: settings)
        var rests: [Double] = []
        for second in 0..<120 {
            let wasDisabled = stage.rehearsal.runtime.statuses[0].state == "disabled"
            stage.reading("t", "1", at: Int64(second))
            let status = stage.rehearsal.runtime.statuses[0]
            guard status.state == "disabled", !wasDisabled, let end = status.disabledUntil else { continue }
            rests.append(Double(end.nanoseconds) / 1e9 - Double(second))
        }
        #expect(rests.starts(with: [10, 20, 25, 25]))
        #expect(
            stage.rehearsal.runtime.statuses[0].faults == rests.count * 2 + (stage.rehearsal.runtime.statuses[0].state == "running" ? 1 : 0)
        )
    }
}
