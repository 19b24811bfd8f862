internal import Glibc
internal import RuleEngine

/// One script: its Lua, its handlers, its calls that wait, what it has done wrong.
final class Automation {
    let file: String
    let text: String
    let lua: LuaState
    /// As `automation { name = … }` says; until then the file's name.
    var name: String
    var description = ""
    var handlers: [Handler] = []
    /// Calls that wait, by number.
    var waiting: [Int64: HandlerRun] = [:]
    /// Those of handlers, by handler and key, oldest first.
    var byKey: [RunKey: [Int64]] = [:]
    /// Calls that stand in line behind one that waits.
    var lines: [RunKey: [QueuedCall]] = [:]
    /// How many of them wait for a message.
    var messageWaits = 0
    /// Functions of `after` that are not called yet, by the number of their handle.
    var pending: [Int64: LuaFunction] = [:]
    /// The call that runs now; nil while the file itself is read. Of a message's handler it is made when somebody asks: most handlers wait for nothing.
    var current: HandlerRun? {
        if running == nil, let beginning {
            running = HandlerRun(
                number: beginning.number, handler: beginning.route.handler, key: beginning.route.key, captures: beginning.route.captures)
        }
        return running
    }
    var running: HandlerRun?
    var beginning: (number: Int64, route: Route)?
    var isLoading = false
    /// Calls that began; one that waits and goes on is one.
    var runs = 0
    // Faults.
    var recentFaults: [Instant] = []
    var lastFault: ScriptFault?
    var faults = 0
    var lastFaultAt: Instant?
    var disabledUntil: Instant?
    /// How long it rests the next time; nil: as long as the first time.
    var rest: Int64?
    /// A file that could not be read to its end, or a script that was taken away: nothing of it runs.
    var hasFailed = false
    /// Another version has taken its place; what had begun goes on.
    var isRetiring = false
    /// Whether something of it is still to run.
    var isBusy: Bool { !waiting.isEmpty || !lines.isEmpty || !pending.isEmpty }
    // Outputs and calls, counted against their limits.
    var outputs = 0.0
    var outputsAt = Instant.distantPast
    /// Silences that it made, so that no two have one id.
    var silences = 0
    var callsAt = Instant.distantPast
    var calls = 0
    // State.
    var storedState = Document.emptyObject
    /// Bytes of the state when it was last looked at.
    var stateSize = 0
    /// Since it was last looked at, a handler ran.
    var mayHaveChanged = false
    var flushIsDue = false
    var flushedAt = Instant.distantPast
    /// What it puts out waits until its state may be stored again.
    var isHolding = false
    var nextSchedule: Int64 = 0
    /// Conditions that were compiled, by their text.
    var conditions: [String: CELCondition] = [:]
    var compiled: [CELCondition] = []
    /// Bytes of the texts of both.
    var conditionsLength = 0
    var compiledLength = 0

    struct RunKey: Hashable {
        var handler: Int
        var key: String
    }
    struct QueuedCall {
        var arguments: CallArguments
        var captures: [(name: String, value: String)]
    }

    init(file: String, text: String, settings: AutomationSettings) {
        self.file = file
        self.text = text
        let base = file.split(separator: "/").last.map(String.init) ?? file
        name = base.hasSuffix(".lua") ? String(base.dropLast(4)) : base
        // Chance is the script's own: what another one draws does not change it.
        var seed = FNV1a(seed: settings.seed ^ 0xcbf2_9ce4_8422_2325)
        seed.add(name.utf8)
        lua = LuaState(limits: settings.limits, seed: seed.value)
    }

    /// Takes a call out of everything that knows it; false: it was not waiting.
    func forget(_ run: HandlerRun) -> Bool {
        guard waiting.removeValue(forKey: run.number) != nil else { return false }
        if case .message = run.wait { messageWaits -= 1 }
        guard let handler = run.handler else { return true }
        let key = RunKey(handler: handler, key: run.key)
        byKey[key]?.removeAll { $0 == run.number }
        if byKey[key]?.isEmpty ?? false { byKey[key] = nil }
        return true
    }

    /// Names of what it offers to the actions of rules.
    var actions: [String] { handlers.compactMap { if case .action(let name) = $0.trigger { name } else { nil } } }

    func takeFromLine(_ place: RunKey) -> QueuedCall? {
        guard var line = lines[place], !line.isEmpty else { return nil }
        let next = line.removeFirst()
        lines[place] = line.isEmpty ? nil : line
        return next
    }
}

/// What a handler is called with; kept as long as the call stands in line.
enum CallArguments {
    case none
    /// With the captures of the handler's own filter.
    case reading(Reading)
    case document(Document)
    case action(alert: Document, arguments: Document)
}

/// A message that is kept: for calls that stand in line, for `wait_for`, for `mqtt.latest`.
final class Reading {
    let topic: String
    let payload: [UInt8]
    let isRetained: Bool
    let at: Instant
    let message = LuaMessage()

    /// Of a message that can be decoded.
    init(topic: UnsafeRawBufferPointer, payload: UnsafeRawBufferPointer, isRetained: Bool, at: Instant) {
        self.topic = String(decoding: topic, as: UTF8.self)
        self.payload = Array(payload)
        self.isRetained = isRetained
        self.at = at
        _ = message.read(topic: topic, payload: payload, isRetained: isRetained, time: at.seconds)
    }

    /// The whole table: built-in names hide captures, captures hide members.
    func write(_ writer: LuaWriter, captures: [(name: String, value: String)], world: ScriptWorld) {
        let device = captures.first { $0.name == "device" }.map(\.value)
        writer.object(message.count + captures.count + 6)
        writer.raw(message)
        for (name, value) in captures {
            writer.name(name)
            writer.string(value)
        }
        writer.name("topic")
        writer.string(topic)
        writer.name("time")
        writer.double(at.seconds)
        writer.name("received_at")
        writer.double(at.seconds)
        writer.name("retained")
        writer.bool(isRetained)
        writer.name("payload")
        payload.withUnsafeBytes { writer.string($0) }
        writer.name("config")
        if let config = device.flatMap(world.device)?.config { writer.value(config) } else { writer.object(0) }
    }
}

/// The way from a topic to a handler that listens to it.
final class Route {
    /// Not the other way round: whoever takes a script away throws the routes away.
    let automation: Automation
    let handler: Int
    let function: LuaFunction
    let captures: [(name: String, value: String)]
    let values: LuaCaptures
    let key: String
    let takesRetained: Bool

    private static let builtIn: Set<String> = ["topic", "time", "received_at", "retained", "payload", "config"]

    init(_ automation: Automation, _ number: Int, captures: [(name: String, value: String)], takesRetained: Bool) {
        self.automation = automation
        self.captures = captures
        self.takesRetained = takesRetained
        handler = number
        function = automation.handlers[number].function
        key = automation.handlers[number].key(captures)
        // Built-in names hide captures.
        values = LuaCaptures(
            captures.filter { !Self.builtIn.contains($0.name) }, device: captures.first { $0.name == "device" }.map(\.value))
    }
}

/// All ways from one topic.
final class TopicRoutes {
    let bytes: [UInt8]
    let routes: [Route]
    var topic: String { String(decoding: bytes, as: UTF8.self) }

    init(_ topic: UnsafeRawBufferPointer, _ routes: [Route]) {
        bytes = Array(topic)
        self.routes = routes
    }

    @inline(__always)
    func isOf(_ topic: UnsafeRawBufferPointer) -> Bool {
        bytes.withUnsafeBytes { $0.count == topic.count && ($0.count == 0 || memcmp($0.baseAddress!, topic.baseAddress!, $0.count) == 0) }
    }
}
