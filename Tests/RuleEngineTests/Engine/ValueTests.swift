import CEL
import RuleEngine
import Synchronization
import Testing

@Suite struct ValueTests {
    @Test func `a field's last known value holds until a reading changes it`() throws {
        let driver = try EngineDriver.rule("expr: temperature > 30 && humidity > 70")
        driver.send("t/a", "{\"temperature\": 31}", at: 0)
        driver.send("t/a", "{\"humidity\": 71}", at: 1)
        driver.send("t/b", "{\"temperature\": 31}", at: 2)
        #expect(driver.log() == ["1s A(a) firing"])
    }

    @Test func `JSON null removes the known value, and a missing name keeps the state`() throws {
        let driver = try EngineDriver.rule("expr: t > 30")
        driver.send("t/a", "{\"t\": 31}", at: 0)
        driver.send("t/a", "{\"t\": null}", at: 1)
        #expect(driver.log() == ["0s A(a) firing"])
        driver.send("t/a", "{\"t\": 3}", at: 2)
        #expect(driver.log() == ["2s A(a) resolved"])
    }

    @Test func `no result leaves pending timers running`() throws {
        let driver = try EngineDriver.rule("expr: t > 30\nfor: 10s")
        driver.send("t/a", "{\"t\": 31}", at: 0)
        driver.send("t/a", "{\"t\": null}", at: 1)
        driver.advance(to: 20)
        #expect(driver.log() == ["0s A(a) pending", "10s A(a) firing"])
    }

    @Test func `'has' works on bare names`() throws {
        let driver = try EngineDriver.rule("expr: has(error) && !has(ok)")
        driver.send("t/a", "{\"error\": 1}", at: 0)
        driver.send("t/a", "{\"ok\": 1}", at: 1)
        driver.send("t/a", "{\"ok\": null}", at: 2)
        #expect(driver.log() == ["0s A(a) firing", "1s A(a) resolved", "2s A(a) firing"])
    }

    @Test func `a real error sets the health, is counted, and changes no state`() throws {
        let driver = try EngineDriver.rule("expr: t / n > 3 || t > 100")
        driver.send("t/a", "{\"t\": 31, \"n\": 1}", at: 0)
        driver.send("t/a", "{\"t\": {}, \"n\": 0}", at: 1)
        #expect(driver.log() == ["0s A(a) firing"])
        let status = try #require(driver.engine.status(of: RuleIdentity(group: "g", alert: "A")))
        #expect(status.health == .error)
        #expect(status.lastError != nil)
        #expect(status.instances == [.firing: 1])
        #expect(driver.engine.counters.evaluationErrors == ["g/A": 1])
        driver.send("t/a", "{\"t\": 1, \"n\": 1}", at: 2)
        #expect(driver.engine.status(of: RuleIdentity(group: "g", alert: "A"))?.health == .ok)
    }

    @Test func `a rule is in error as long as one of its instances is`() throws {
        let driver = try EngineDriver.rule("expr: t / n > 3")
        func health() -> RuleActivity.Health? { driver.engine.status(of: RuleIdentity(group: "g", alert: "A"))?.health }
        for (device, payload, expected) in [
            ("a", #"{"t": 31, "n": 1}"#, RuleActivity.Health.ok), ("b", #"{"t": "x", "n": 1}"#, .error),
            ("c", #"{"t": "x", "n": 1}"#, .error),
            ("a", #"{"t": 2, "n": 1}"#, .error), ("b", #"{"t": 5, "n": 1}"#, .error), ("b", #"{"t": 6, "n": 1}"#, .error),
            ("c", #"{"t": 5, "n": 1}"#, .ok),
        ] {
            driver.send("t/\(device)", payload, at: 1)
            #expect(health() == expected, "\(device) \(payload)")
        }
    }

    @Test func `an instance that is forgotten is no error any more`() throws {
        let driver = try EngineDriver.rule("expr: t / n > 3")
        driver.send("t/a", #"{"t": "x", "n": 1}"#, at: 0)
        driver.send("t/b", #"{"t": 1, "n": 1}"#, at: 1)
        #expect(driver.engine.status(of: RuleIdentity(group: "g", alert: "A"))?.health == .error)
        driver.engine.setDevice("a", config: nil, at: Instant(nanoseconds: 2_000_000_000))
        #expect(driver.engine.status(of: RuleIdentity(group: "g", alert: "A"))?.health == .ok)
    }

    @Test func `a string that is entirely a JSON number counts as one`() throws {
        let driver = try EngineDriver.rule("expr: t > 30")
        driver.send("t/a", "{\"t\": \"31.5\"}", at: 0)
        driver.send("t/a", "{\"t\": \"29\"}", at: 1)
        #expect(driver.log() == ["0s A(a) firing", "1s A(a) resolved"])
    }

    @Test func `a bare scalar is 'value', a hidden name is 'payload.time', an odd one is quoted`() throws {
        let plain = try EngineDriver.rule("expr: value == 'ON'")
        plain.send("t/a", "ON", at: 0)
        plain.send("t/a", "\"OFF\"", at: 1)
        #expect(plain.log() == ["0s A(a) firing", "1s A(a) resolved"])
        let odd = try EngineDriver.rule("expr: payload.time > 5 && payload.`AM2301-14`.Temperature > 20")
        odd.send("t/a", "{\"time\": 6, \"AM2301-14\": {\"Temperature\": 21}}", at: 0)
        #expect(odd.log() == ["0s A(a) firing"])
    }

    @Test func `'value_as' makes the scalar the field that the capture names`() throws {
        let yaml =
            "groups:\n  - name: g\n    on: {topic: 'home/{device}/{metric}', value_as: metric}\n    rules:\n      - {alert: A, by: [device], expr: temperature > 30 && humidity > 60}\n"
        let driver = try EngineDriver(yaml)
        driver.send("home/a/temperature", "31", at: 0)
        driver.send("home/a/humidity", "61", at: 1)
        driver.send("home/a/pressure", "1", at: 2)
        driver.send("home/a/temperature", "{\"value\": 3}", at: 3)
        #expect(driver.log() == ["1s A(a) firing"])
        driver.send("home/a/temperature", "20", at: 4)
        #expect(driver.log() == ["4s A(a) resolved"])
    }

    @Test func `'by' defaults to the captures common to all filters of a list`() throws {
        let yaml =
            "groups:\n  - name: g\n    on: ['a/{site}/{device}', 'b/{device}']\n    rules:\n      - {alert: A, expr: x > 1 && y > 1}\n"
        let driver = try EngineDriver(yaml)
        driver.send("a/oslo/d", "{\"x\": 2}", at: 0)
        driver.send("b/d", "{\"y\": 2}", at: 1)
        #expect(driver.log() == ["1s A(d) firing"])
    }

    @Test func `captures not in 'by' belong to the evaluated reading and are no labels`() throws {
        let driver = try EngineDriver.rule(
            "by: [site]\nexpr: t > 30\nannotations: {summary: '{{ device }} is warm'}", on: "s/{site}/{device}")
        driver.send("s/oslo/a", "{\"t\": 31}", at: 0)
        driver.send("s/oslo/b", "{\"t\": 3}", at: 1)
        let seen = driver.take()
        #expect(seen.map(\.short) == ["0s A(oslo) firing", "1s A(oslo) resolved"])
        #expect(seen.map { $0.alert.annotations["summary"] } == ["a is warm", "b is warm"])
        #expect(seen[0].alert.labels == ["alertname": "A", "site": "oslo"])
    }

    @Test func `a message counts once however many of our filters it matches`() throws {
        let yaml =
            "groups:\n  - name: g\n    on: ['s/{device}', 's/+', 's/#', '{kind}/{device}']\n    rules:\n      - {alert: A, by: [], event: true, expr: 'true'}\n"
        let driver = try EngineDriver(yaml)
        driver.send("s/a", "{}", at: 0)
        #expect(driver.log() == ["0s A() occurred"])
    }

    @Test func `a configuration change evaluates the rules that read it`() throws {
        let driver = try EngineDriver.rule("expr: t > config.limits.high\nlabels: {room: '{{ config.room }}'}")
        driver.send("t/a", "{\"t\": 31}", at: 0)
        #expect(driver.log() == [])
        try driver.setDevice("a", "{\"limits\": {\"high\": 30}, \"room\": \"hall\"}", at: 1)
        try driver.setDevice("a", "{\"limits\": {\"high\": 30}, \"room\": \"attic\"}", at: 2)
        try driver.setDevice("b", "{\"limits\": {\"high\": 10}}", at: 3)
        try driver.setDevice("a", "{\"limits\": {\"high\": 40}, \"room\": \"attic\"}", at: 4)
        let seen = driver.take()
        #expect(seen.map(\.short) == ["1s A(a) firing", "4s A(a) resolved"])
        // Labels are fixed when the instance leaves inactive and kept until it resolves.
        #expect(seen.map { $0.alert.labels["room"] } == ["hall", "hall"])
    }

    @Test func `labels of the device are seen in expressions`() throws {
        let driver = try EngineDriver.rule("expr: t > 30 && device.labels.floor == '2'")
        try driver.setDevice("a", "{}", labels: ["floor": "2"], at: 0)
        driver.send("t/a", "{\"t\": 31}", at: 1)
        driver.send("t/b", "{\"t\": 31}", at: 1)
        #expect(driver.log() == ["1s A(a) firing"])
    }

    @Test func `a variable evaluates the rules that read it`() throws {
        let driver = try EngineDriver.rule("expr: vars.armed && motion")
        driver.send("t/a", "{\"motion\": true}", at: 0)
        try driver.setVariable("armed", "true", at: 1)
        try driver.setVariable("armed", "false", at: 2)
        try driver.setVariable("armed", nil, at: 3)
        #expect(driver.log() == ["1s A(a) firing", "2s A(a) resolved"])
    }

    @Test func `'let' names a sub-expression, which is evaluated at most once a reading`() throws {
        let calls = Mutex(0)
        let counted: @Sendable ([Value]) throws(FunctionFailure) -> Value = { (arguments) throws(FunctionFailure) in
            calls.withLock { $0 += 1 }
            return arguments[0]
        }
        var environment = RuleLanguageEnvironment.standard
        environment.add(Function("counted", .global, [.dyn], .dyn, body: counted))
        let yaml = """
            groups:
              - name: g
                on: t/{device}
                let: {excess: counted(t) - 30.0}
                rules:
                  - {alert: A, expr: excess > 0 && excess < 100}
                  - {alert: B, expr: excess > 5, annotations: {summary: "{{ excess }}"}}
            """
        let driver = try EngineDriver(yaml, environment: environment)
        driver.send("t/a", "{\"t\": 36.5}", at: 0)
        let seen = driver.take()
        #expect(seen.map(\.short) == ["0s A(a) firing", "0s B(a) firing"])
        #expect(seen.last?.alert.annotations == ["summary": "6.5"])
        #expect(calls.withLock { $0 } == 1)
    }

    @Test func `'let' names cannot depend on themselves`() {
        let yaml = EngineDriver.yaml("let: {x: y + 1.0, y: x + 1.0}\nexpr: x > 1.0")
        #expect(EngineDriver.mistakes(yaml).contains("let-cycle"))
    }

    @Test func `a label may not depend on a measured value`() {
        #expect(EngineDriver.mistakes(EngineDriver.yaml("expr: t > 1\nlabels: {room: '{{ t }}'}")) == ["label-measured"])
        #expect(EngineDriver.mistakes(EngineDriver.yaml("let: {x: t * 2}\nexpr: t > 1\nlabels: {room: '{{ x }}'}")) == ["label-measured"])
    }

    @Test func `'alert.value' is the left operand of the comparison that decided, or what 'value' says`() throws {
        let decided = try EngineDriver.rule(
            "expr: a > 10 || b > 10\nannotations: {summary: '{{ alert.value }} {{ alert.state }} {{ labels.device }}'}")
        decided.send("t/x", "{\"a\": 1, \"b\": 12.50}", at: 0)
        let first = decided.take()
        #expect(first.map(\.alert.value) == [.double(12.5)])
        #expect(first.map { $0.alert.annotations["summary"] } == ["12.5 firing x"])
        let said = try EngineDriver.rule("expr: a > 10\nvalue: a * 2\nannotations: {summary: '{{ alert.value }}'}")
        said.send("t/x", "{\"a\": 11}", at: 0)
        #expect(said.take().map { $0.alert.annotations["summary"] } == ["22"])
    }

    @Test func `the value of an edge is that of the reading that fired it`() throws {
        let driver = try EngineDriver.rule("expr: t - previous(t) > 5\nannotations: {summary: 'from {{ previous(t) }}'}")
        driver.send("t/a", "{\"t\": 10}", at: 0)
        driver.send("t/a", "{\"t\": 16.5}", at: 1)
        let seen = driver.take()
        #expect(seen.map(\.alert.value) == [.double(6.5)])
        #expect(seen.map { $0.alert.annotations["summary"] } == ["from 10"])
    }

    @Test(arguments: [
        ("1e-4", "0.0001"), ("1e16", "1e+16"), ("123456789012345", "123456789012345"), ("5.0", "5"), ("0.1", "0.1"), ("-2.50", "-2.5"),
        ("1e-5", "1e-05"), ("999999999999999", "999999999999999"),
    ])
    func `in templates a number prints shortest, without exponent from 1e-4 to 1e15`(_ given: String, _ shown: String) throws {
        let driver = try EngineDriver.rule("expr: has(t)\nannotations: {summary: '{{ t }}'}")
        driver.send("t/a", "{\"t\": \(given)}", at: 0)
        #expect(driver.take().first?.alert.annotations["summary"] == shown)
    }

    @Test func `'<no value>' stands where a template's evaluation fails, and is counted`() throws {
        let driver = try EngineDriver.rule("expr: t > 1\nannotations: {summary: 'x {{ nosuch.field }} y {{ t }}'}")
        driver.send("t/a", "{\"t\": 2}", at: 0)
        #expect(driver.take().first?.alert.annotations["summary"] == "x <no value> y 2")
        #expect(driver.engine.counters.templateFailures == 1)
    }

    @Test func `actions publish at firing and at resolved, under ids of their own`() throws {
        let driver = try EngineDriver.rule(
            "expr: t > 30\nkeep_firing_for: 10s\nactions:\n  firing: [{publish: {topic: 'out/{{ device }}', payload: '{{ t }}'}}]\n  resolved: [{publish: {topic: 'out/{{ device }}', payload: ''}}]"
        )
        driver.send("t/a", "{\"t\": 31}", at: 0)
        driver.send("t/a", "{\"t\": 1}", at: 1)
        driver.send("t/a", "{\"t\": 32}", at: 2)
        driver.send("t/a", "{\"t\": 1}", at: 3)
        driver.advance(to: 60)
        let seen = driver.take()
        #expect(seen.map(\.alert.state) == [.firing, .recovering, .firing, .recovering, .resolved])
        let payloads = seen.map { transition in
            transition.alert.pendingActions.map { if case .publish(let request) = $0 { request.payload } else { "a call" } }
        }
        #expect(payloads == [["31"], [], [], [], [""]])
        #expect(Set(seen.flatMap { $0.alert.pendingActions.map(\.id) }).count == 2)
    }

    @Test func `'retained: skip' ignores retained messages`() throws {
        let yaml = "groups:\n  - name: g\n    on: {topic: 't/{device}', retained: skip}\n    rules:\n      - {alert: A, expr: t > 30}\n"
        let driver = try EngineDriver(yaml)
        driver.send("t/a", "{\"t\": 31}", at: 0, retained: true)
        #expect(driver.log() == [])
        driver.send("t/a", "{\"t\": 31}", at: 1)
        #expect(driver.log() == ["1s A(a) firing"])
    }

    @Test func `a retained message sets last known values and is evaluated`() throws {
        let driver = try EngineDriver.rule("expr: t > 30")
        driver.send("t/a", "{\"t\": 31}", at: 0, retained: true)
        #expect(driver.log() == ["0s A(a) firing"])
    }

    @Test func `an undeclared device has an empty configuration`() throws {
        let driver = try EngineDriver.rule("expr: '!has(config.limit) && t > 1'")
        driver.send("t/a", "{\"t\": 2}", at: 0)
        #expect(driver.log() == ["0s A(a) firing"])
    }
}
