public import CEL
import Synchronization

/// Runs tests of one plugin. Each begins with a plugin that is loaded anew; HTTP and MQTT are played by the test.
public struct PluginTestRunner: Sendable {
    /// Loads the plugin with these settings and services.
    public typealias Loading = @Sendable (PluginValues, any HTTPRequesting, any MessagePublisher) throws(PluginFailure) -> any Plugin

    private let catalog: PluginCatalog
    private let environment: Environment
    private let load: Loading

    /// - Parameter catalog: of this plugin alone.
    public init(catalog: PluginCatalog, environment: Environment, load: @escaping Loading) {
        self.catalog = catalog
        self.environment = environment
        self.load = load
    }

    public func run(_ test: PluginTest) async -> RuleTestResult {
        var result = RuleTestResult(name: test.name, location: test.location)
        let web = PlayedWeb(test.exchanges)
        let broker = PlayedBroker()
        do throws(PluginFailure) {
            let plugin = try load(test.settings, web, broker)
            var complaints = try await complaints(test, plugin)
            if case .act(let action) = test.kind { complaints += broker.complaints(expected: action.publications) }
            complaints += web.complaints()
            result.failures = complaints.map { .init(location: test.location, message: $0) }
        } catch {
            result.failures = [.init(location: error.location, message: error.message)]
        }
        result.readings = 1
        return result
    }

    private func complaints(_ test: PluginTest, _ plugin: any Plugin) async throws(PluginFailure) -> [String] {
        switch test.kind {
        case .decode(let name, let before, let message, let expect):
            let decoder = try plugin.decoder(name)
            // What it teaches the decoder counts, not what it gives.
            for earlier in before { _ = try? PayloadInspection.fields(topic: earlier.topic, payload: earlier.payload, decoder: decoder) }
            return Self.complaints(decoder, message, expect)
        case .evaluate(let expression, let expect): return try complaints(expression, expect, plugin)
        case .deliver(let delivery):
            let channel = try plugin.channel(
                PluginChannelConfiguration(channel: delivery.channel, plugin: plugin.manifest.name, values: delivery.values))
            let notification = Notification(id: "test", receiver: "test", document: delivery.notification)
            return Self.complaints(await channel.attempt(notification).result, delivery.outcome)
        case .act(let action):
            let run = try plugin.action(action.name)
            let result =
                switch await run.run(alert: action.alert, arguments: action.arguments) {
                case .done: ChannelResult.delivered
                case .retry(let reason): ChannelResult.failed(reason: reason, retryAfter: nil)
                case .failed(let reason): ChannelResult.rejected(reason: reason)
                }
            return Self.complaints(result, action.outcome)
        }
    }

    // MARK: Decoders

    private static func complaints(_ decoder: any TelemetryDecoder, _ message: PluginTest.Message, _ expect: PluginTest.DecodeExpectation)
        -> [String]
    {
        do throws(TelemetryDecoderFailure) {
            let found = try PayloadInspection.fields(topic: message.topic, payload: message.payload, decoder: decoder)
            switch (expect, found) {
            case (.ignored, nil): return []
            case (.ignored, .some(let found)): return [difference("the message to be passed over", found.fields.json)]
            case (.fields(let fields, _), nil): return [difference(fields.json, "the message was passed over")]
            case (.error(let part), let found):
                return [difference("an error with '\(part)'", found?.fields.json ?? "the message was passed over")]
            case (.fields(let fields, let time), .some(let found)):
                var complaints: [String] = []
                if !found.fields.withoutNulls.isSame(as: fields.withoutNulls) {
                    complaints.append(difference(fields.withoutNulls.json, found.fields.withoutNulls.json))
                }
                if !isClose(time, found.time) {
                    complaints.append(difference("time \(time?.description ?? "none")", "time \(found.time?.description ?? "none")"))
                }
                return complaints
            }
        } catch {
            if case .error(let part) = expect, error.reason.contains(part) { return [] }
            return [difference(words(expect), "error: \(error.reason)")]
        }
    }

    private static func words(_ expect: PluginTest.DecodeExpectation) -> String {
        switch expect {
        case .fields(let fields, _): fields.json
        case .ignored: "the message to be passed over"
        case .error(let part): "an error with '\(part)'"
        }
    }

    /// Tests write milliseconds.
    private static func isClose(_ one: Instant?, _ other: Instant?) -> Bool {
        guard let one, let other else { return one == nil && other == nil }
        let (distance, overflow) = one.nanoseconds.subtractingReportingOverflow(other.nanoseconds)
        return !overflow && distance.magnitude <= 500_000
    }

    private static func difference(_ expected: String, _ found: String) -> String { "expected: \(expected)\nfound:    \(found)" }

    // MARK: Functions

    private func complaints(_ expression: String, _ expect: PluginTest.ValueExpectation, _ plugin: any Plugin) throws(PluginFailure)
        -> [String]
    {
        let (set, diagnostics) = PluginSet.assembling(catalog, [plugin])
        if let first = diagnostics.first { throw PluginFailure(first.message, at: first.location) }
        let language = set.environment(environment)
        let parsed = language.parse(expression)
        var names = NoNames()
        guard let tree = parsed.expression, parsed.diagnostics.isEmpty else { return parsed.diagnostics.map(\.message) }
        let compiled = language.compile(tree, names: &names, strings: InternedStrings())
        guard let program = compiled.program, !compiled.diagnostics.contains(where: { $0.severity == .error }) else {
            return compiled.diagnostics.map(\.message)
        }
        // Never empty, so that there is an address.
        let outcome = [Slot.missing].withUnsafeBufferPointer { program.evaluate($0.baseAddress!) }
        switch (outcome, expect) {
        case (.value(let value), .value(let expected, let within)):
            let found = Document(value)
            if let number = found.number, let wanted = expected.number {
                return (number - wanted).magnitude <= within ? [] : [Self.difference("\(expected.json) within \(within)", found.json)]
            }
            return found.isSame(as: expected) ? [] : [Self.difference(expected.json, found.json)]
        case (.error(let error), .error(let part)) where error.message.contains(part): return []
        case (.error(let error), .error(let part)): return [Self.difference("an error with '\(part)'", "error: \(error.message)")]
        case (.error(let error), .value(let expected, _)): return [Self.difference(expected.json, "error: \(error.message)")]
        case (.value(let value), .error(let part)): return [Self.difference("an error with '\(part)'", Document(value).json)]
        case (.missing(let name), _): return ["'\(name)' is not there"]
        }
    }

    // MARK: Outcomes

    private static func complaints(_ result: ChannelResult, _ expect: PluginTest.OutcomeExpectation) -> [String] {
        switch (result, expect) {
        case (.delivered, .ok): []
        case (.failed(let reason, let after), .retry(let part, let wanted)) where reason.contains(part) && after == wanted: []
        case (.rejected(let reason), .reject(let part)) where reason.contains(part): []
        default: [difference(words(expect), words(result))]
        }
    }

    private static func words(_ expect: PluginTest.OutcomeExpectation) -> String {
        switch expect {
        case .ok: "ok"
        case .retry(let part, let after): "retry with '\(part)'" + (after.map { " after \($0)" } ?? "")
        case .reject(let part): "reject with '\(part)'"
        }
    }

    private static func words(_ result: ChannelResult) -> String {
        switch result {
        case .delivered: "ok"
        case .failed(let reason, let after): "retry: \(reason)" + (after.map { " after \($0)" } ?? "")
        case .rejected(let reason): "reject: \(reason)"
        }
    }
}

extension PluginTest {
    fileprivate var exchanges: [Exchange] {
        switch kind {
        case .deliver(let delivery): delivery.exchanges
        case .act(let action): action.exchanges
        case .decode, .evaluate: []
        }
    }
}

extension Document {
    /// The same JSON: numbers by value, members in any order.
    func isSame(as other: Document) -> Bool {
        switch (self, other) {
        case (.array(let left), .array(let right)): return left.count == right.count && zip(left, right).allSatisfy { $0.isSame(as: $1) }
        case (.object(let left), .object(let right)):
            return left.count == right.count
                && left.allSatisfy { member in other[member.name].map { member.value.isSame(as: $0) } ?? false }
        // Lua's empty table is both.
        case (.array(let left), .object(let right)): return left.isEmpty && right.isEmpty
        case (.object(let left), .array(let right)): return left.isEmpty && right.isEmpty
        default:
            guard let left = number, let right = other.number else { return self == other }
            // Scaled values (0.1, 0.01) differ in their last digit.
            return left == right || (left - right).magnitude <= 1e-9 * max(left.magnitude, right.magnitude)
        }
    }

    /// A member that is null is none, to rules.
    var withoutNulls: Document {
        guard case .object(let members) = self else { return self }
        return .object(members.filter { $0.value != .null }.map { Member($0.name, $0.value.withoutNulls) })
    }
}

/// Answers requests as a test says, and remembers what was wrong with them.
private final class PlayedWeb: HTTPRequesting {
    private let exchanges: [PluginTest.Exchange]
    private let state = Mutex((next: 0, complaints: [String]()))

    init(_ exchanges: [PluginTest.Exchange]) { self.exchanges = exchanges }

    func send(_ call: HTTPCall) async -> HTTPReply {
        state.withLock { state in
            guard state.next < exchanges.count else {
                state.complaints.append("an unexpected request: \(call.method) \(call.url)")
                return .refused(reason: "the test expects no such request")
            }
            let exchange = exchanges[state.next]
            state.next += 1
            state.complaints += Self.complaints(call, exchange)
            return exchange.reply
        }
    }

    func complaints() -> [String] {
        state.withLock { state in
            let missing = exchanges.dropFirst(state.next).map { "expected: \($0.method) \($0.url)\nfound:    no such request" }
            return state.complaints + missing
        }
    }

    private static func complaints(_ call: HTTPCall, _ exchange: PluginTest.Exchange) -> [String] {
        var complaints: [String] = []
        func check(_ what: String, _ expected: String, _ found: String?) {
            if found != expected { complaints.append("\(what)\nexpected: \(expected)\nfound:    \(found ?? "none")") }
        }
        check("the method", exchange.method, call.method)
        check("the URL", exchange.url, call.url)
        for header in exchange.headers { check("the header \(header.name)", header.value, call.header(header.name)) }
        let body = String(decoding: call.body, as: UTF8.self)
        if let expected = exchange.body { check("the body", expected, body) }
        if let expected = exchange.json {
            guard let found = try? Document(json: call.body) else {
                return complaints + ["the body\nexpected: \(expected.json)\nfound:    \(body), which is no JSON"]
            }
            if !found.isSame(as: expected) { complaints.append("the body\nexpected: \(expected.json)\nfound:    \(found.json)") }
        }
        return complaints
    }
}

/// Takes messages and compares them with what the test expects.
private final class PlayedBroker: MessagePublisher {
    private let messages = Mutex([PluginTest.Publication]())

    func publish(topic: String, payload: [UInt8], qos: UInt8, retain: Bool, properties: [(String, String)]) async throws(PublishFailure) {
        messages.withLock { $0.append(PluginTest.Publication(topic: topic, payload: String(decoding: payload, as: UTF8.self))) }
    }

    func complaints(expected: [PluginTest.Publication]) -> [String] {
        let found = messages.withLock { $0 }
        let isSame = found.count == expected.count && zip(found, expected).allSatisfy { $0.topic == $1.topic && $0.payload == $1.payload }
        if isSame { return [] }
        func words(_ messages: [PluginTest.Publication]) -> String {
            messages.isEmpty ? "nothing published" : messages.map { "\($0.topic) \($0.payload)" }.joined(separator: ", ")
        }
        return ["expected: \(words(expected))\nfound:    \(words(found))"]
    }
}
