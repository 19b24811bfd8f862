import LuaScripting
import RuleEngine
import RuleLanguage
import Testing

/// Actions of plugins in tests of rules: what they did can be expected.
@Suite struct PluginActionTests {
    private static let code = """
        local count = 0
        plugin { actions = {
          blink = function(alert, arguments)
            count = count + 1
            mqtt.publish("lamps/" .. arguments.lamp .. "/set", alert.state .. " " .. count, { qos = 1 })
            local answer, problem = http.post("http://bridge.local/" .. arguments.lamp, { body = json.encode { alert = alert.alertname } })
            if not answer then return "reject", problem end
            if answer.status == 503 then return "retry", "is busy" end
            return "ok"
          end,
        } }
        """
    private static let rules = """
        groups:
          - name: doors
            on: "door/{device}"
            rules:
              - alert: Open
                expr: open
                actions:
                  firing: [{plugin: sample.blink, arguments: {lamp: "{{ device }}"}}]
                  resolved: [{plugin: sample.blink, arguments: {lamp: "{{ device }}"}}]

        """

    /// Failures of a test with this body, by the lines of their messages.
    private static func failures(_ test: String, outside: String = "") async throws -> [String] {
        let more = "permissions: {http: [bridge.local], mqtt.publish: [\"lamps/+/set\"]}\n"
        let provides = "{actions: {blink: {arguments: {lamp: {type: string}}}}}"
        return try await PluginLoading.with(provides: provides, more: more, code: code) { plugin in
            let (catalog, problems) = PluginCatalog.assembling([plugin.manifest], environment: RuleLanguageEnvironment.standard)
            let (plugins, found) = PluginSet.assembling(catalog, [plugin])
            #expect(problems.isEmpty && found.isEmpty)
            let loaded = RuleLoader(environment: RuleLanguageEnvironment.standard, plugins: catalog)
                .load(files: [RuleLoader.Source(name: "rules.yaml", bytes: Array(rules.utf8))])
            #expect(loaded.diagnostics == [])
            let rules = try #require(loaded.catalog)
            let plan = try #require(EvaluationPlan.compile(rules).plan)
            let text = """
                rules: rules.yaml
                \(outside)
                tests:
                  - name: t
                    readings:
                      - {topic: door/hall, at: 1s, payload: '{"open": true}'}
                      - {topic: door/hall, at: 60s, payload: '{"open": false}'}
                \(test.split(separator: "\n").map { "    \($0)" }.joined(separator: "\n"))
                """
            let reader = RuleTestFileReader(environment: RuleLanguageEnvironment.standard) { _ in nil }
            let (file, diagnostics) = reader.read(RuleLoader.Source(name: "t.test.yaml", bytes: Array(text.utf8)))
            guard let file else { return diagnostics.map { "\($0.location.line): \($0.message)" } }
            let notifications = NotificationConfiguration(
                route: Route(receiver: "team"), receivers: [Receiver(name: "team", channels: [.log(LogConfiguration())])])
            var runner = RuleTestRunner(plan: plan, routes: try RouteTree(notifications) { _ in nil })
            runner.makeActions = { (name) throws(PluginFailure) in try plugins.rehearsal(of: name) }
            // The second run begins with the plugin anew.
            let first = runner.run(file.tests[0]).failures.map(\.message)
            #expect(runner.run(file.tests[0]).failures.map(\.message) == first)
            return first
        }
    }

    private static let isThere = "http:\n  - {url: \"http://bridge.local/*\", status: 204}"
    private static let isBusy = "http:\n  - {url: \"http://bridge.local/*\", status: 503}"

    @Test func `what an action did can be expected`() async throws {
        let failures = try await Self.failures(
            """
            expect:
              - {at: 1s, published: [{topic: lamps/hall/set, payload: "firing 1"}]}
              - {at: 1s, requests: [{method: POST, url: "http://bridge.local/hall", body: {alert: Open}}]}
              - {at: 2s, published: [], requests: []}
              - {at: 60s, published: [{topic: lamps/hall/set, payload: "resolved 2"}]}
            """, outside: Self.isThere)
        #expect(failures == [])
    }

    @Test func `an action that says retry is run again in virtual time`() async throws {
        let failures = try await Self.failures(
            """
            expect:
              - {at: 1s, published: [{topic: lamps/hall/set, payload: "firing 1"}]}
              - {at: 2s, published: [{topic: lamps/hall/set, payload: "firing 2"}]}
              - {at: 3s, published: []}
              - {at: 4s, published: [{topic: lamps/hall/set, payload: "firing 3"}]}
              - {at: 8s, published: []}
            """, outside: Self.isBusy + "\n  - {url: \"http://bridge.local/*\", at: 4s, status: 200}")
        #expect(failures == [])
    }

    @Test func `what was not expected is told`() async throws {
        let failures = try await Self.failures(
            "expect: [{at: 1s, published: [{topic: lamps/hall/set, payload: OFF}], requests: []}]", outside: Self.isThere)
        #expect(failures.count == 2)
        #expect(failures.first?.contains("lamps/hall/set") == true && failures.first?.contains("firing 1") == true, "\(failures)")
        #expect(failures.last?.contains("not expected at 1s: POST http://bridge.local/hall") == true, "\(failures)")
    }

    @Test func `an action that fails, and a request without an answer, fail the test`() async throws {
        let failures = try await Self.failures("expect: [{at: 1s, alert: Open, state: firing}]")
        let reason = "the action 'sample.blink' failed at 1s: the test gives no answer to this"
        #expect(failures.contains { $0.contains(reason) }, "\(failures)")
        #expect(failures.contains { $0.contains("'sample.blink' asked at 1s for POST http://bridge.local/hall") }, "\(failures)")
        let busy = try await Self.failures("expect: [{at: 1s, alert: Open, state: firing}]", outside: Self.isBusy)
        #expect(busy.first?.contains("the action 'sample.blink' failed at 16s: is busy") == true, "\(busy)")
    }
}
