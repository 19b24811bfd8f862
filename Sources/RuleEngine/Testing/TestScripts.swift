import Synchronization

/// Scripts of a test in virtual time: what they see of the test, and what becomes of what they want.
final class TestScripts {
    let runtime: any ScriptRuntime
    let stage: Stage
    private(set) var published: [(at: Instant, message: PublishRequest)] = []
    private(set) var sent: [SentNotification] = []
    private(set) var faults: [ScriptFault] = []
    private(set) var requests: [(at: Instant, call: HTTPCall)] = []
    private(set) var written: [SeriesPoint] = []
    /// Requests that the test says nothing of.
    private(set) var unanswered: [(at: Instant, automation: String, request: ScriptRequest)] = []
    /// What scripts have changed, for the engine to take.
    private var changes: [EngineInput] = []
    private var hushes: [(automation: String, request: HushRequest)] = []
    /// Why silences and acknowledgements that scripts wanted were not taken.
    private(set) var refusals: [(at: Instant, automation: String, reason: String)] = []
    private let outside: TestOutside
    private var count = 0

    /// The devices and alerts of a test, as scripts look at them.
    final class Stage: Sendable {
        private let devices = Mutex<[String: ScriptWorld.Device]>([:])
        private let locations = Mutex<[String: GeoPoint]>([:])
        private let alerts = Mutex<[String: AlertRecord]>([:])
        private let variables = Mutex<[String: Document]>([:])

        var world: ScriptWorld {
            ScriptWorld(
                device: { id in self.devices.withLock { $0[id] } },
                devices: {
                    self.devices.withLock { devices in
                        devices.values.sorted { $0.id.utf8.lexicographicallyPrecedes($1.id.utf8) }
                    }
                },
                alerts: { self.alerts.withLock { Array($0.values) } }, variable: { name in self.variables.withLock { $0[name] } })
        }

        func set(_ id: String, _ device: ScriptWorld.Device?) { devices.withLock { $0[id] = device } }
        func device(_ id: String) -> ScriptWorld.Device? { devices.withLock { $0[id] } }
        func set(_ id: String, _ location: GeoPoint?) { locations.withLock { $0[id] = location } }
        func setVariable(_ name: String, _ value: Document?) { variables.withLock { $0[name] = value } }
        func location(_ id: String) -> GeoPoint? { locations.withLock { $0[id] } }
        func take(_ alert: AlertRecord) { alerts.withLock { $0[alert.storageID] = alert.state == .inactive ? nil : alert } }
    }

    init(_ make: (ScriptWorld, Instant) -> any ScriptRuntime, stage: Stage, replies: [TestReply], at start: Instant) {
        self.stage = stage
        outside = TestOutside(replies, start: start)
        runtime = make(stage.world, start)
        settle(at: start)
    }

    func apply(_ input: ScriptInput, at instant: Instant) {
        runtime.apply(input, at: instant)
        settle(at: instant)
    }

    /// Calls what the rule's actions name of scripts.
    func act(_ alert: AlertRecord, at instant: Instant) {
        for case .call(let call) in alert.pendingActions {
            guard case .script(let automation, let function) = call.function else { continue }
            apply(.action(automation: automation, function: function, alert: alert, arguments: call.arguments), at: instant)
        }
    }

    /// Runs what is due at `instant`.
    func advance(to instant: Instant) {
        while runtime.advance(to: instant, most: 1000) { settle(at: instant) }
        settle(at: instant)
    }

    /// Gives what was changed since it was last called.
    func takeChanges() -> [EngineInput] {
        defer { changes = [] }
        return changes
    }

    /// Hands silences and acknowledgements that were wanted since it was last called to `carryOut`, which says why one is not taken.
    func takeHushes(at instant: Instant, _ carryOut: (HushRequest) -> String?) {
        for (automation, request) in hushes {
            if let reason = carryOut(request) { refusals.append((instant, automation, reason)) }
        }
        hushes = []
    }

    /// Requests are answered at once, which may cause more.
    private func settle(at instant: Instant) {
        while case let effects = runtime.takeEffects(), !effects.isEmpty {
            for effect in effects { carryOut(effect, at: instant) }
        }
    }

    private func carryOut(_ effect: ScriptEffect, at instant: Instant) {
        switch effect.kind {
        case .publish(let topic, let payload, let qos, let retain):
            count += 1
            let text = String(decoding: payload, as: UTF8.self)
            published.append((effect.at, PublishRequest(id: "script-\(count)", topic: topic, payload: text, qos: qos, retain: retain)))
        case .notify(let receiver, let content):
            sent.append(SentNotification(at: effect.at, receiver: receiver, document: Self.document(effect.automation, content)))
        case .raise(let alert): changes.append(.raise(alert))
        case .resolve(let selection): changes.append(.resolve(selection))
        case .request(let number, let request):
            runtime.apply(.answer(request: number, answer(request, of: effect.automation, at: instant)), at: instant)
        case .hush(let request): hushes.append((effect.automation, request))
        case .fault(let fault): faults.append(fault)
        case .log, .store, .subscriptionsChanged: break
        }
    }

    private func answer(_ request: ScriptRequest, of automation: String, at instant: Instant) -> ScriptAnswer {
        switch request {
        case .setConfig(let id, let patch):
            var device = stage.device(id) ?? ScriptWorld.Device(id: id, config: .emptyObject)
            device.config = device.config.merging(patch: patch)
            stage.set(id, device)
            changes.append(.device(id: id, config: device.config, labels: device.labels, location: stage.location(id)))
            return .done
        case .setVariable(let name, let value):
            stage.setVariable(name, value)
            changes.append(.variable(name: name, value))
            return .done
        case .http(let call): requests.append((instant, call))
        case .write(let point): written.append(point)
        case .query: break
        }
        if let answer = outside.answer(request, at: instant) { return answer }
        unanswered.append((instant, automation, request))
        return .failed("the test gives no answer to this")
    }

    /// What an expectation compares of a notification.
    private static func document(_ automation: String, _ content: Document) -> Document {
        var labels: [Document.Member] = [.init("alertname", .string(automation))]
        if let severity = content["severity"] { labels.append(.init("severity", severity)) }
        labels += content["labels"]?.members ?? []
        let annotations = (content.members ?? []).filter { ["summary", "description"].contains($0.name) }
        let alert: Document = ["status": "firing", "labels": .object(labels), "annotations": .object(annotations)]
        return ["status": "firing", "alerts": .array([alert])]
    }
}
