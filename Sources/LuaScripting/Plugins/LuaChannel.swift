import RuleEngine
import Synchronization

/// A state that several calls share: each runs until it waits, then another may.
final class SharedPluginState: Sendable {
    private let state: Mutex<PluginState>

    init(_ state: sending PluginState) { self.state = Mutex(state) }

    func function(_ kind: PluginManifest.Provision.Kind, _ name: String) -> LuaFunction? { state.withLock { $0.function(kind, name) } }

    /// Runs a function to its end, asking `services` for what it waits for.
    ///
    /// - Returns: what it gave, and whether a request that had no answer may have arrived all the same.
    func run(_ function: LuaFunction, _ services: LuaPlugin.Services, timeout: Duration?, _ write: @Sendable (LuaWriter) -> Void) async
        -> (Result<[LuaValue], LuaFailure>, mayHaveArrived: Bool)
    {
        var mayHaveArrived = false
        var step = state.withLock { state in Self.result { () throws(LuaFailure) in try state.start(function, write) } }
        while true {
            switch step {
            case .failure(let failure): return (.failure(failure), mayHaveArrived)
            case .success(.done(let values)): return (.success(values), mayHaveArrived)
            case .success(.waiting(let thread, let request)):
                let answer = await Self.answer(request, services, timeout, &mayHaveArrived)
                step = state.withLock { state in Self.result { () throws(LuaFailure) in try state.resume(thread, with: answer) } }
            }
        }
    }

    private static func result(_ body: () throws(LuaFailure) -> PluginState.Step) -> Result<PluginState.Step, LuaFailure> {
        do throws(LuaFailure) { return .success(try body()) } catch { return .failure(error) }
    }

    private static func answer(
        _ request: PluginRequest, _ services: LuaPlugin.Services, _ timeout: Duration?, _ mayHaveArrived: inout Bool
    ) async -> PluginAnswer {
        switch request {
        case .http(var call):
            if let timeout { call.timeout = min(call.timeout, timeout) }
            switch await services.http.send(call) {
            case .response(let status, let headers, let body): return .response(status: status, headers: headers, body: body)
            case .refused(let reason): return .failure(reason)
            case .noResponse(let reason, let mayHave):
                mayHaveArrived = mayHaveArrived || mayHave
                return .failure(reason)
            }
        case .publish(let topic, let payload, let qos, let retain):
            guard let publisher = services.publisher else { return .failure("there is no MQTT connection") }
            do throws(PublishFailure) {
                try await publisher.publish(topic: topic, payload: payload, qos: qos, retain: retain, properties: [])
                return .published
            } catch { return .failure(error.description) }
        }
    }
}

/// A channel of a Lua plugin: `deliver(notification, config)`.
struct LuaChannel: NotificationAttempting {
    var kind: String { configuration.channel }
    private let configuration: PluginChannelConfiguration
    private let function: LuaFunction
    private let state: SharedPluginState
    private let services: LuaPlugin.Services

    init(_ configuration: PluginChannelConfiguration, function: LuaFunction, state: SharedPluginState, services: LuaPlugin.Services) {
        self.configuration = configuration
        self.function = function
        self.state = state
        self.services = services
    }

    func attempt(_ notification: Notification) async -> AttemptResult {
        guard
            let config = configuration.values.resolved(
                for: notification.document, services.rendering, read: services.secret)
        else {
            return AttemptResult(.rejected(reason: "a text of its configuration cannot be filled in, or a secret's file not be read"))
        }
        let (result, mayHaveArrived) = await state.run(function, services, timeout: configuration.timeout) { writer in
            writer.value(notification.document)
            writer.value(config)
        }
        switch result {
        case .failure(let failure): return AttemptResult(.rejected(reason: hidden("the plugin failed: \(failure)")))
        case .success(let values): return AttemptResult(outcome(values), mayHaveArrived: mayHaveArrived)
        }
    }

    /// `"ok"`; `"retry"`, a reason and perhaps seconds; `"reject"` and a reason.
    private func outcome(_ values: [LuaValue]) -> ChannelResult {
        let reason = hidden(values.dropFirst().first?.text ?? "the plugin gives no reason")
        switch values.first?.text {
        case "ok": return .delivered
        case "retry":
            let seconds = values.count > 2 ? values[2].number : nil
            return .failed(reason: reason, retryAfter: seconds.flatMap { $0 > 0 && $0 <= 86_400 ? .seconds($0) : nil })
        case "reject": return .rejected(reason: reason)
        default: return .rejected(reason: "the plugin must give \"ok\", \"retry\" or \"reject\"")
        }
    }

    /// A reason is shown to people; what a service says may quote a secret.
    private func hidden(_ reason: String) -> String {
        var reason = reason
        for entry in configuration.values.entries {
            guard case .secret(let secret) = entry.value, let text = services.secret(secret), text.utf8.count >= 4 else { continue }
            reason = reason.split(separator: text, omittingEmptySubsequences: false).joined(separator: "<secret>")
        }
        return reason
    }
}

/// An action of a Lua plugin: `run(alert, arguments)`.
struct LuaAction: PluginAction {
    private let name: String
    private let function: LuaFunction
    private let state: SharedPluginState
    private let services: LuaPlugin.Services

    init(_ name: String, function: LuaFunction, state: SharedPluginState, services: LuaPlugin.Services) {
        self.name = name
        self.function = function
        self.state = state
        self.services = services
    }

    func run(alert: Document, arguments: Document) async -> PluginActionResult {
        let (result, _) = await state.run(function, services, timeout: nil) { writer in
            writer.value(alert)
            writer.value(arguments)
        }
        switch result {
        case .failure(let failure): return .failed(reason: "the plugin failed: \(failure)")
        case .success(let values): return PluginActionResult(values)
        }
    }
}

extension PluginActionResult {
    /// What an action gave: nothing or `"ok"`; `"retry"` or `"reject"` and a reason.
    init(_ values: [LuaValue]) {
        let reason = values.dropFirst().first?.text ?? "the plugin gives no reason"
        switch values.first?.text {
        // An action that gives nothing has done what it should.
        case nil where values.first.map(\.isNone) ?? true, "ok": self = .done
        case "retry": self = .retry(reason: reason)
        case "reject": self = .failed(reason: reason)
        default: self = .failed(reason: "the plugin must give nothing, \"ok\", \"retry\" or \"reject\"")
        }
    }
}
