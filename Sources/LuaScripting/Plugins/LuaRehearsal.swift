import RuleEngine

/// The actions of a Lua plugin in a test: one state for them, as in the server, made anew for each test.
final class LuaRehearsal: PluginRehearsal {
    private let state: PluginState

    init(_ state: PluginState) { self.state = state }

    func run(_ name: String, alert: Document, arguments: Document, outside: any PlayedOutside) -> PluginActionResult {
        guard let function = state.function(.action, name) else { return .failed(reason: "the plugin has no action '\(name)'") }
        do throws(LuaFailure) {
            var step = try state.start(function) { writer in
                writer.value(alert)
                writer.value(arguments)
            }
            while case .waiting(let thread, let request) = step {
                step = try state.resume(thread, with: Self.answer(request, outside))
            }
            guard case .done(let values) = step else { return .failed(reason: "the plugin did not end") }
            return PluginActionResult(values)
        } catch { return .failed(reason: "the plugin failed: \(error)") }
    }

    private static func answer(_ request: PluginRequest, _ outside: any PlayedOutside) -> PluginAnswer {
        switch request {
        case .http(let call):
            switch outside.send(call) {
            case .response(let status, let headers, let body): return .response(status: status, headers: headers, body: body)
            case .refused(let reason), .noResponse(let reason, _): return .failure(reason)
            }
        case .publish(let topic, let payload, let qos, let retain):
            outside.publish(topic: topic, payload: payload, qos: qos, retain: retain)
            return .published
        }
    }
}
