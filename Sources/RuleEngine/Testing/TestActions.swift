/// Actions of plugins in a test. They change nothing that rules see, so each is run to its end at once, and what it did stands at the instants at which
/// it would have been done.
final class TestActions {
    private(set) var published: [(at: Instant, message: PublishRequest)] = []
    private(set) var requests: [(at: Instant, call: HTTPCall)] = []
    /// Requests that the test says nothing of.
    private(set) var unanswered: [(at: Instant, action: String, request: ScriptRequest)] = []
    private(set) var failures: [(at: Instant, action: String, reason: String)] = []
    private let make: (String) throws(PluginFailure) -> any PluginRehearsal
    private var plugins: [String: any PluginRehearsal] = [:]
    private let outside: TestOutside
    /// Until when the actions of an alert are busy: those of one alert run one after the other.
    private var busyUntil: [String: Instant] = [:]

    /// - Parameter make: a plugin, by its name.
    init(_ make: @escaping (String) throws(PluginFailure) -> any PluginRehearsal, replies: [TestReply], at start: Instant) {
        self.make = make
        outside = TestOutside(replies, start: start)
    }

    /// Runs what the rule's actions name of plugins.
    func act(_ alert: AlertRecord, at instant: Instant) {
        for case .call(let call) in alert.pendingActions {
            guard case .plugin(let name) = call.function else { continue }
            let begin = max(instant, busyUntil[alert.storageID] ?? instant)
            busyUntil[alert.storageID] = run(name, alert, call.arguments, at: begin)
        }
    }

    /// Gives when it was over.
    private func run(_ name: String, _ alert: AlertRecord, _ arguments: Document, at begin: Instant) -> Instant {
        var now = begin
        for attempt in 1...PluginActionAttempts.most {
            switch attemptOnce(name, alert, arguments, at: now) {
            case .done: return now
            case .failed(let reason):
                failures.append((now, name, reason))
                return now
            case .retry(let reason):
                guard attempt < PluginActionAttempts.most else {
                    failures.append((now, name, reason))
                    return now
                }
                now = now + PluginActionAttempts.wait(after: attempt).inNanoseconds
            }
        }
        return now
    }

    private func attemptOnce(_ name: String, _ alert: AlertRecord, _ arguments: Document, at now: Instant) -> PluginActionResult {
        // Where rules are read, the name was found: PLUGIN.ACTION.
        let parts = name.split(separator: ".", maxSplits: 1).map(String.init)
        guard parts.count == 2 else { return .failed(reason: "there is no action '\(name)'") }
        do throws(PluginFailure) {
            let plugin = try plugin(parts[0])
            return plugin.run(parts[1], alert: alert.scriptDocument, arguments: arguments, outside: Played(self, name, now))
        } catch { return .failed(reason: error.message) }
    }

    /// Made when it is first called, so that a test begins with it anew.
    private func plugin(_ name: String) throws(PluginFailure) -> any PluginRehearsal {
        if let known = plugins[name] { return known }
        let made = try make(name)
        plugins[name] = made
        return made
    }

    /// The outside at an instant.
    private final class Played: PlayedOutside {
        private let actions: TestActions
        private let name: String
        private let now: Instant

        init(_ actions: TestActions, _ name: String, _ now: Instant) {
            self.actions = actions
            self.name = name
            self.now = now
        }

        func send(_ call: HTTPCall) -> HTTPReply { actions.answer(call, of: name, at: now) }

        func publish(topic: String, payload: [UInt8], qos: UInt8, retain: Bool) {
            let text = String(decoding: payload, as: UTF8.self)
            let id = "plugin-\(actions.published.count + 1)"
            actions.published.append((now, PublishRequest(id: id, topic: topic, payload: text, qos: qos, retain: retain)))
        }
    }

    private func answer(_ call: HTTPCall, of action: String, at now: Instant) -> HTTPReply {
        requests.append((now, call))
        switch outside.answer(.http(call), at: now) {
        case .response(let status, let headers, let body): return .response(status: status, headers: headers, body: body)
        case .failed(let reason): return .noResponse(reason: reason, mayHaveArrived: false)
        case .done, .value, nil:
            unanswered.append((now, action, .http(call)))
            return .refused(reason: "the test gives no answer to this")
        }
    }
}
