import LuaScripting
import RuleEngine
import Testing

/// What `after`, `every` and `cron` give can be cancelled.
@Suite struct TimerTests {
    @Test func `a function that is cancelled is not called`() {
        let stage = Stage(
            """
            automation {}:on_reading("x", function(r)
              if r.value == "stop" then return log.info(timer:cancel(), timer:cancel()) end
              timer = after("10s", function() log.info("late") end)
            end)
            """)
        stage.reading("x", "go", at: 0)
        stage.reading("x", "stop", at: 5)
        stage.reading("x", "go", at: 20)
        stage.reading("x", "stop", at: 60)
        stage.pass(to: 100)
        #expect(stage.lines == ["5 info true false", "30 info late", "60 info false false"])
    }

    @Test func `a clock that is cancelled stands still`() {
        let stage = Stage(
            """
            local a = automation {}
            local n = 0
            local ticks, hours
            ticks = a:every("10s", function()
              n = n + 1
              log.info("tick", n)
              if n == 2 then log.info(ticks:cancel(), hours:cancel(), ticks:cancel()) end
            end)
            hours = cron("*/1 * * * *", function() log.info("cron") end)
            """)
        stage.pass(to: 200)
        #expect(stage.lines == ["10 info tick 1", "20 info tick 2", "20 info true true false"])
    }

    @Test func `cancelling is a method of timers`() {
        let stage = Stage(
            "automation {}:on_start(function() local t = after(1, print) log.info(pcall(t.cancel)) log.info(pcall(t.cancel, 5)) end)")
        #expect(stage.lines.count == 2 && stage.lines.allSatisfy { $0.contains("cancel: is a method: call it with ':'") }, "\(stage.lines)")
    }

    @Test func `timers that nobody waits for leave no trace`() throws {
        let stage = Stage(
            """
            local a = automation {}
            local t
            a:on_reading("x", function() if t then t:cancel() end t = after("1d", function() end) end)
            a:on_reading("x", function() wait_for("y", { timeout = "1d" }) end)
            """)
        for number in 0..<3_000 {
            stage.reading("x", "1", at: Int64(number))
            stage.reading("y", "1", at: Int64(number))
        }
        #expect(stage.rehearsal.runtime.timersHeld < 2_500, "\(stage.rehearsal.runtime.timersHeld)")
        #expect(stage.rehearsal.runtime.statuses[0].waiting == 0)
    }

    @Test func `each of thousands of handlers that sleep wakes`() {
        let stage = Stage(
            """
            automation {}:on_reading("x/{n}", function() sleep "1h" state.woken = (state.woken or 0) + 1 end, { mode = "parallel", max = 5000, key = "n" })
            """)
        for number in 0..<5_000 { stage.reading("x/\(number)", "1", at: 0) }
        #expect(stage.rehearsal.runtime.statuses[0].waiting == 5_000)
        stage.pass(to: 3_600)
        #expect(stage.rehearsal.runtime.statuses[0].waiting == 0)
    }
}
