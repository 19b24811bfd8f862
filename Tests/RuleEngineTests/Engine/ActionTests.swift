import RuleEngine
import Testing

@testable import RuleLanguage

/// What the actions of a rule become at a transition.
@Suite struct ActionTests {
    private static let calls = """
        expr: t > 30
        annotations: {summary: warm}
        actions:
          firing:
            - publish: {topic: 'out/{{ device }}', payload: 'on'}
            - script: vent.open
              arguments: {house: '{{ device }}', at: '{{ t }}', double: '{{ t * 2.0 }}', text: 'at {{ t }}', list: [1, '{{ t > 30 }}'], deep: {none: '{{ missing_one }}', no: false, plain: '12'}}
          resolved:
            - script: vent.close
        """

    private func calls(_ transition: AlertTransition) -> [String] {
        transition.alert.pendingActions.map { action in
            switch action {
            case .publish(let request): "\(request.topic) \(request.payload)"
            case .call(let request): "\(request.function) \(request.arguments.json)"
            }
        }
    }

    @Test func `arguments are filled in at the transition, one expression alone keeps its type`() throws {
        let driver = try EngineDriver.rule(Self.calls)
        driver.send("t/a", #"{"t": 31}"#, at: 0)
        driver.send("t/a", #"{"t": 1}"#, at: 1)
        let seen = driver.take()
        #expect(
            seen.map { calls($0) } == [
                [
                    "out/a on",
                    #"vent.open {"house":"a","at":31,"double":62,"text":"at 31","list":[1,true],"deep":{"none":null,"no":false,"plain":"12"}}"#,
                ], ["vent.close {}"],
            ])
        #expect(driver.engine.counters.templateFailures == 1)
        #expect(Set(seen.flatMap(\.alert.pendingActions).map(\.id)).count == 3)
    }

    @Test func `a shadow rule has no actions`() throws {
        let driver = try EngineDriver.rule("mode: shadow\n" + Self.calls)
        driver.send("t/a", #"{"t": 31}"#, at: 0)
        #expect(driver.take().map { calls($0) } == [[]])
    }

    @Test func `what is stored of actions is read back as it was, and what was stored before calls were known`() throws {
        let driver = try EngineDriver.rule(Self.calls)
        driver.send("t/a", #"{"t": 31}"#, at: 0)
        var record = try #require(driver.take().first).alert
        #expect(AlertRecord(document: record.document) == record)
        guard case .call(var begun) = record.pendingActions[1] else {
            Issue.record("the second action is a call")
            return
        }
        begun.hasBegun = true
        record.pendingActions = [
            .call(begun), .call(CallRequest(id: "x", function: .plugin("lamps.blink"), arguments: ["lamp": "hall"])),
        ]
        #expect(AlertRecord(document: record.document) == record)
        let old = try Document(json: Array(#"{"id": "i", "topic": "a", "payload": "b", "qos": 1, "retain": false}"#.utf8))
        record.pendingActions = []
        let members = (record.document.members ?? []) + [Document.Member("pendingActions", .array([old]))]
        #expect(
            AlertRecord(document: .object(members))?.pendingActions == [
                .publish(PublishRequest(id: "i", topic: "a", payload: "b", qos: 1, retain: false))
            ])
    }

    @Test func `an expression in an argument is checked as any other`() {
        #expect(
            EngineDriver.mistakes(EngineDriver.yaml("expr: t > 30\nactions: {firing: [{script: a.b, arguments: {x: '{{ nosuch(t) }}'}}]}"))
                .count == 1)
    }

    // MARK: What automations offer

    private func complaints(_ script: String, _ offers: [ScriptOffer]) throws -> [Diagnostic] {
        let yaml = EngineDriver.yaml("expr: t > 30\nactions: {firing: [{script: \(script)}]}")
        let loaded = RuleLoader(environment: RuleLanguageEnvironment.standard)
            .load(files: [RuleLoader.Source(name: "rules.yaml", bytes: Array(yaml.utf8))])
        return try #require(loaded.catalog).unknownScripts(among: offers, severity: .error)
    }

    @Test(arguments: [
        ("vent.open", "", "", 0), ("vant.open", "there is no automation 'vant'", "did you mean 'vent'?", 37),
        ("vent.opn", "the automation 'vent' offers no action 'opn'", "did you mean 'open'?", 42), ("broken.any", "", "", 0),
    ])
    func `an action that no automation offers is told, with its place`(_ script: String, _ message: String, _ hint: String, _ column: Int)
        throws
    {
        let offers = [
            ScriptOffer(name: "vent", file: "vent.lua", actions: ["open", "close"]),
            // Nobody knows what a script offers that cannot be read.
            ScriptOffer(name: "broken", file: "broken.lua", actions: nil),
        ]
        let found = try complaints(script, offers)
        #expect(found.map(\.message) == (message.isEmpty ? [] : [message]))
        #expect(found.first.map { $0.hint ?? "" } ?? "" == hint)
        #expect(found.first?.location.column ?? 0 == column)
        #expect(found.allSatisfy { $0.code == "unknown-action" })
    }
}
