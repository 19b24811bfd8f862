public import RuleEngine
internal import Synchronization

/// One automation in virtual time, on given readings, without a server: what `nodesphere lua run` does.
public final class Rehearsal {
    public let runtime: AutomationRuntime
    private let devices: Devices
    /// Called with every effect, in order.
    private let watch: (ScriptEffect) -> Void
    /// Answers requests that reach out; nil: there is none.
    private let outside: (ScriptRequest) -> ScriptAnswer?

    /// Devices and variables as the script has set them.
    private final class Devices: Sendable {
        private let variables = Mutex<[String: Document]>([:])
        func variable(_ name: String) -> Document? { variables.withLock { $0[name] } }
        func setVariable(_ name: String, _ value: Document?) { variables.withLock { $0[name] = value } }
        private let configs = Mutex<[String: Document]>([:])
        func device(_ id: String) -> ScriptWorld.Device? {
            configs.withLock { $0[id].map { ScriptWorld.Device(id: id, config: $0) } }
        }
        func all() -> [ScriptWorld.Device] {
            configs.withLock { configs in
                configs.sorted { $0.key.utf8.lexicographicallyPrecedes($1.key.utf8) }.map { .init(id: $0.key, config: $0.value) }
            }
        }
        func merge(_ patch: Document, into id: String) {
            configs.withLock { $0[id] = ($0[id] ?? .emptyObject).merging(patch: patch) }
        }
    }

    public init(
        settings: AutomationSettings = AutomationSettings(), outside: @escaping (ScriptRequest) -> ScriptAnswer? = { _ in nil },
        watch: @escaping (ScriptEffect) -> Void
    ) {
        var settings = settings
        // Nothing may depend on how fast the machine is.
        settings.limits.wallTime = nil
        let devices = Devices()
        self.devices = devices
        runtime = AutomationRuntime(
            settings: settings,
            world: ScriptWorld(device: { devices.device($0) }, devices: { devices.all() }, variable: { devices.variable($0) }))
        self.watch = watch
        self.outside = outside
    }

    public func load(file: String, text: String, reason: String = "start", at instant: Instant) {
        advance(to: instant + -1)
        runtime.load(file: file, text: text, reason: reason, at: instant)
        settle(at: instant)
    }

    /// Lets `mqtt.latest` know every topic, whether the script asks for it or not.
    public func keepLatest() { runtime.keepsLatest = true }

    public func apply(_ input: ScriptInput, at instant: Instant) {
        advance(to: instant + -1)
        runtime.apply(input, at: instant)
        settle(at: instant)
    }

    public func advance(to instant: Instant) {
        while let due = runtime.nextDue, due <= instant {
            _ = runtime.advance(to: due)
            settle(at: due)
        }
        _ = runtime.advance(to: instant)
    }

    public func end(at instant: Instant) {
        advance(to: instant)
        runtime.stop(at: instant)
        settle(at: instant)
    }

    /// Runs a line that was typed: an expression gives its values. It cannot wait.
    public func evaluate(_ line: String, at instant: Instant) throws(LuaFailure) -> [LuaValue] {
        advance(to: instant)
        defer { settle(at: instant) }
        guard let automation = runtime.automations.first else { return [] }
        do throws(LuaFailure) {
            return try automation.lua.load("return " + line, name: automation.file)
        } catch {
            // A mistake of grammar has no way that led to it: then it is no expression.
            guard error.line > 0, error.traceback.isEmpty else { throw error }
        }
        return try automation.lua.load(line, name: automation.file)
    }

    /// What lies outside is not there; a test (`nodesphere test`) gives answers.
    private func answer(_ request: ScriptRequest, of automation: String) -> ScriptAnswer {
        switch request {
        case .setConfig(let device, let patch):
            devices.merge(patch, into: device)
            return .done
        case .setVariable(let name, let value):
            devices.setVariable(name, value)
            return .done
        case .http, .query: return outside(request) ?? .failed("nothing is reached in a rehearsal: a test can give answers")
        case .write: return .done
        }
    }

    /// Requests are answered at once, which may cause more.
    private func settle(at instant: Instant) {
        var rounds = 0
        while case let effects = runtime.takeEffects(), !effects.isEmpty, rounds < 10_000 {
            rounds += 1
            for effect in effects {
                watch(effect)
                if case .request(let number, let request) = effect.kind {
                    runtime.apply(.answer(request: number, answer(request, of: effect.automation)), at: instant)
                }
            }
        }
    }
}
