import CEL
import Foundation
import LuaScripting
import RuleEngine
import RuleLanguage
import Testing

/// What test files say of scripts: the outside's answers, what was asked of it, and the state.
@Suite struct TestFileTests {
    private static let script = """
        local a = automation { name = "weather" }
        a:on_reading("ask/{city}", function(r)
          local answer, problem = http.get("http://api/v1?city=" .. r.city, { headers = { ["x-key"] = "k" } })
          if not answer or answer.status ~= 200 then
            state.problem = problem or answer.status
            alerts.raise { alertname = "NoWeather", labels = { city = r.city }, severity = "low", annotations = { summary = "none" } }
            return
          end
          local degrees = json.decode(answer.body).degrees
          local series = influx.query("SELECT mean(degrees)  FROM weather")
          state.mean = series and series[1] and series[1].rows[1].mean
          state.list = { 1, 2 }
          state.written = influx.write("weather", { city = r.city }, { degrees = degrees })
          alerts.resolve { alertname = "NoWeather", labels = { city = r.city } }
          mqtt.publish("weather/" .. r.city, degrees)
        end)
        """

    /// Failures of the one test that `body` says, by the lines of their messages.
    private static func failures(_ test: String, outside: String = "") throws -> [String] {
        let text = """
            automations: weather.lua
            notifications: {route: {receiver: team, group_by: ['...'], group_wait: 0s, group_interval: 1s, repeat_interval: 1d}, receivers: [{name: team, log_configs: [{}]}]}
            \(outside)
            tests:
              - name: t
                readings: [{topic: ask/oslo, at: 1s, payload: x}]
            \(test.split(separator: "\n").map { "    \($0)" }.joined(separator: "\n"))
            """
        let reader = RuleTestFileReader(environment: RuleLanguageEnvironment.standard) { _ in nil }
        let (file, diagnostics) = reader.read(RuleLoader.Source(name: "w.test.yaml", bytes: Array(text.utf8)))
        guard let file else { return diagnostics.map { "\($0.location.line): \($0.message)" } }
        guard case .inline(let notifications) = file.notifications else { return ["no notifications"] }
        var runner = RuleTestRunner(plan: .empty, routes: try RouteTree(notifications) { _ in nil })
        runner.makeScripts = { world, start in
            var settings = AutomationSettings()
            settings.hosts = [HostPattern("*")!]
            let runtime = AutomationRuntime(settings: settings, world: world)
            runtime.load(file: "weather.lua", text: script, at: start)
            return runtime
        }
        return runner.run(file.tests[0]).failures.map(\.message)
    }

    private static let outside = """
        http:
          - {url: "http://api/*", status: 200, body: {degrees: 21.5}}
          - {url: "http://api/*", at: 5s, status: 503}
        influx:
          - {query: "SELECT mean(degrees) FROM weather", rows: [{mean: 20}]}
        """

    @Test func `answers, requests, points and state are as expected`() throws {
        let failures = try Self.failures(
            """
            expect:
              - at: 1s
                published: [{topic: weather/oslo, payload: 21.5}]
                requests: [{method: GET, url: "http://api/v1?city=oslo", headers: {x-key: k}}]
                written: [{measurement: weather, tags: {city: oslo}, fields: {degrees: 21.5}}]
              - {at: 1s, automation: weather, state: {mean: 20, written: true, list: [1, 2], problem: null}}
              - {at: 2s, requests: [], written: []}
            """, outside: Self.outside)
        #expect(failures.isEmpty, "\(failures)")
    }

    @Test func `what is not as expected is told`() throws {
        let failures = try Self.failures(
            """
            expect:
              - {at: 1s, requests: [{method: POST, url: "http://api/v1?city=oslo"}]}
              - {at: 1s, written: []}
              - {at: 1s, automation: weather, state: {mean: 21, nothing: 1, written: true}}
              - {at: 1s, automation: other, state: {mean: 21}}
            """, outside: Self.outside)
        #expect(
            failures == [
                "expected at 1s: POST http://api/v1?city=oslo\nbut there was:   GET http://api/v1?city=oslo, x-key: k\n",
                "not expected at 1s: weather{city=\"oslo\"} {\"degrees\":21.5}\n",
                "expected at 1s: state of 'weather' with {\"mean\":21,\"nothing\":1}\nbut there was:   {\"mean\":20,\"nothing\":null}\n",
                "expected at 1s: a state of 'other'\nbut there was:   no such automation\n",
            ])
    }

    @Test func `an alert of a script's own goes through routes, and ends when it is resolved`() throws {
        let failures = try Self.failures(
            """
            expect:
              - {at: 1s, alert: NoWeather, group: automation/weather, state: firing, labels: {city: oslo}, level: low}
              - {at: 1s, notifications: [{receiver: team, status: firing, alerts: [{alert: NoWeather, labels: {severity: low}, annotations: {summary: none}}]}]}
              - {at: 1s, automation: weather, state: {problem: 503}}
            """, outside: Self.outside.replacingOccurrences(of: "at: 5s", with: "at: 1s"))
        #expect(failures.isEmpty, "\(failures)")
    }

    @Test func `a request that the test says nothing of fails it`() throws {
        let failures = try Self.failures("expect: [{at: 1s, published: []}]")
        #expect(failures == ["'weather' asked at 1s for GET http://api/v1?city=oslo\nthe test gives no answer: its 'http' must\n"])
        let query = try Self.failures(
            "expect: [{at: 2s, published: []}]", outside: "http: [{url: \"http://api/v1?city=oslo\", body: '{\"degrees\": 1}'}]")
        #expect(
            query == [
                "'weather' asked at 1s for the query SELECT mean(degrees)  FROM weather\nthe test gives no answer: its 'influx' must\n"
            ])
    }

    @Test(arguments: [
        ("http: [{status: 200}]", "an answer needs 'url'"),
        ("http: [{url: \"http://a/\", status: 99}]", "'status' must be a whole number from 100 to 599"),
        ("http: [{url: \"http://a/\", error: down, body: x}]", "an answer with an 'error' has no 'body'"),
        (
            "influx: [{alert: A, query: B, rows: []}]",
            "an answer is to a rule ('alert'), or to a script's 'query' or 'write': to one of them"
        ),
        ("influx: [{query: B}]", "an answer needs 'rows'"), ("influx: [{write: m}]", "an answer needs 'error'"),
    ])
    func `mistakes in answers are told`(_ outside: String, _ message: String) throws {
        let failures = try Self.failures("expect: [{at: 1s, published: []}]", outside: outside)
        #expect(failures.contains { $0.hasSuffix(message) }, "\(failures)")
    }

    @Test(arguments: [
        ("{at: 1s, automation: weather}", "an expectation needs 'state'"),
        ("{at: 1s, automation: weather, state: 5}", "'state' of an automation must be a mapping of members"),
        (
            "{at: 1s, automation: weather, alert: A, state: firing}",
            "'state' is of an alert or of an automation: 'alert' and 'automation' need an expectation each"
        ),
        ("{at: 1s, requests: [{url: \"http://a/\", method: BREW}]}", "'method' must be one of: GET, POST, PUT, PATCH, DELETE"),
    ])
    func `mistakes in expectations are told`(_ expectation: String, _ message: String) throws {
        let failures = try Self.failures("expect: [\(expectation)]", outside: Self.outside)
        #expect(failures.contains { $0.contains(message) }, "\(failures)")
    }
}
