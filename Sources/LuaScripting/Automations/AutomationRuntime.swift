internal import HeapModule
public import RuleEngine

/// All automations of an installation as one machine: inputs and instants in, effects out.
public final class AutomationRuntime: ScriptRuntime {
    let settings: AutomationSettings
    let world: ScriptWorld
    /// In the order of their files' names.
    var automations: [Automation] = []
    /// Scripts that were replaced and whose handlers go on.
    var retiring: [Automation] = []
    var now = Instant.distantPast
    var effects: [ScriptEffect] = []
    /// Those that wait for the states of their scripts.
    var held: [ScriptEffect] = []
    var timers = Heap<ScriptTimer>()
    var nextTimer: Int64 = 0
    /// With more than these, timers that nobody waits for are taken out.
    var timersToSweep = 1024
    private var nextFunction: Int64 = 0
    private var nextRun: Int64 = 0
    private var nextRequest: Int64 = 0
    /// What was stored of scripts, until a script of that name is loaded.
    private var restored: [String: Document] = [:]
    /// Handlers that want a topic, by its hash; grows with topics, is thrown away when it is large or scripts change.
    private var routes: [UInt64: TopicRoutes] = [:]
    /// The message at hand.
    private let message = LuaMessage()
    /// The last payload of each topic, when some script asks for it.
    var latest: [String: Reading] = [:]
    var keepsLatest = false
    /// Filters of `wait_for` that no handler's filter covers.
    var waitFilters: [TopicFilter] = []
    public private(set) var undecodable: UInt64 = 0

    private static let mostRoutes = 100_000
    /// How many timers a host should run between two inputs, so that none waits long.
    public static let timersAtOnce = 64
    static let mostLatest = 10_000
    static let mostWaitFilters = 1000

    public init(settings: AutomationSettings = AutomationSettings(), world: ScriptWorld = ScriptWorld()) {
        self.settings = settings
        self.world = world
    }

    // MARK: Loading

    /// Takes up what was stored, before scripts are loaded.
    public func restore(_ documents: [(id: String, document: Document)]) {
        for (id, document) in documents { restored[id] = document }
    }

    /// Loads a script, or loads it again: what becomes of handlers that wait, `AutomationSettings.reload` says; `state` is kept. The fault is an effect too.
    ///
    /// - Parameter reason: what `on_start` is told: `start`, `reload` or `recovery`.
    @discardableResult
    public func load(file: String, text: String, reason: String = "start", at instant: Instant) -> ScriptFault? {
        now = max(now, instant)
        let old = automations.firstIndex { $0.file == file }
        if let old { retire(automations[old]) }
        let automation = Automation(file: file, text: text, settings: settings)
        if text.contains("latest") { keepsLatest = true }
        if let old { automations[old] = automation } else { automations.append(automation) }
        automations.sort { $0.file.utf8.lexicographicallyPrecedes($1.file.utf8) }
        routes = [:]
        let fault = start(automation, reason)
        emit(automation, .subscriptionsChanged)
        return fault
    }

    /// Takes a script away; its state stays stored.
    public func remove(file: String, at instant: Instant) {
        now = max(now, instant)
        guard let place = automations.firstIndex(where: { $0.file == file }) else { return }
        flush(automations[place])
        stop(automations[place])
        giveUpRetiring { $0.file == file }
        emit(automations[place], .subscriptionsChanged)
        automations.remove(at: place)
        routes = [:]
    }

    /// Calls `on_stop` of every script and stores their states.
    public func stop(at instant: Instant) {
        now = max(now, instant)
        for automation in automations {
            callAll(automation, .none) { if case .stop = $0 { true } else { false } }
            flush(automation)
        }
    }

    private func start(_ automation: Automation, _ reason: String) -> ScriptFault? {
        if let failure = read(automation) {
            automation.hasFailed = true
            automation.handlers = []
            let fault = ScriptFault(failure, in: automation)
            automation.lastFault = fault
            automation.faults += 1
            emit(automation, .fault(fault))
            return fault
        }
        takeUp(automation)
        startClocks(automation)
        callAll(automation, .document(.string(reason))) { if case .start = $0 { true } else { false } }
        return nil
    }

    /// Runs the file itself, which registers handlers.
    private func read(_ automation: Automation) -> LuaFailure? {
        define(automation)
        automation.isLoading = true
        defer { automation.isLoading = false }
        automation.mayHaveChanged = true
        do throws(LuaFailure) {
            // As Lua does with files: a first line for the shell is none of the script's.
            let text = automation.text
            try automation.lua.load(text.hasPrefix("#") ? "--" + text : text, name: automation.file)
        } catch {
            var failure = error
            // Lua's reader gives no place where it ends for want of stack.
            if failure.file.isEmpty {
                failure.file = automation.file
                if failure.message == "C stack overflow" { failure.message = "the script is nested too deeply" }
            }
            return failure
        }
        guard let other = automations.first(where: { $0 !== automation && $0.name == automation.name }) else { return nil }
        return LuaFailure(
            file: automation.file, line: 1,
            message: "automations' names must be unique: '\(automation.name)' is the one of \(other.file)")
    }

    /// Reads scripts as they would be loaded, and starts none: what they offer to rules, what they will listen to, and what is wrong with them.
    public static func examine(
        _ files: [(file: String, text: String)], settings: AutomationSettings = AutomationSettings()
    ) -> (offers: [ScriptOffer], subscriptions: [TopicSubscription], faults: [ScriptFault]) {
        let runtime = AutomationRuntime(settings: settings)
        var faults: [ScriptFault] = []
        let offers = files.sorted { $0.file.utf8.lexicographicallyPrecedes($1.file.utf8) }.map { file, text in
            let automation = Automation(file: file, text: text, settings: settings)
            let failure = runtime.read(automation)
            if let failure { faults.append(ScriptFault(failure)) } else { runtime.automations.append(automation) }
            return ScriptOffer(name: automation.name, file: file, actions: failure == nil ? automation.actions : nil)
        }
        return (offers, runtime.subscriptions, faults)
    }

    /// State and durable timers, under the name that the script has given itself.
    private func takeUp(_ automation: Automation) {
        if let state = restored["state/\(automation.name)"] {
            automation.storedState = state
            automation.lua.set("state", LuaValue(state))
        }
        let prefix = "schedule/\(automation.name)/"
        for (id, document) in restored.sorted(by: { $0.key < $1.key }) where id.hasPrefix(prefix) {
            guard let at = document["at"]?.int, let name = document["name"]?.string else { continue }
            if let number = Int64(id.dropFirst(prefix.count)) { automation.nextSchedule = max(automation.nextSchedule, number + 1) }
            addTimer(Instant(nanoseconds: at), automation, .schedule(id: id, name: name, data: document["data"] ?? .null))
        }
    }

    private func startClocks(_ automation: Automation) {
        for (number, handler) in automation.handlers.enumerated() {
            switch handler.trigger {
            case .every(let nanoseconds): addTimer(now + nanoseconds, automation, .every(handler: number))
            case .cron: scheduleCron(automation, number)
            default: break
            }
        }
    }

    func scheduleCron(_ automation: Automation, _ number: Int) {
        guard case .cron(let expression) = automation.handlers[number].trigger,
            let next = expression.next(after: now, in: settings.surroundings.timeZone)
        else { return }
        addTimer(next, automation, .every(handler: number))
    }

    /// Nothing of it runs any more.
    func stop(_ automation: Automation) {
        for run in automation.waiting.values { if let thread = run.thread { automation.lua.drop(thread) } }
        automation.waiting = [:]
        automation.byKey = [:]
        automation.lines = [:]
        automation.hasFailed = true
    }

    /// What is stored of scripts from now on.
    func note(_ id: String, _ document: Document?) { restored[id] = document }

    // MARK: What the outside sees

    public struct Status: Sendable {
        public var name: String
        public var file: String
        public var description: String
        /// `running`, `disabled` or `failed`.
        public var state: String
        public var lastFault: ScriptFault?
        /// Faults since it was loaded.
        public var faults: Int
        /// Until when it rests.
        public var disabledUntil: Instant?
        public var runs: Int
        public var waiting: Int
        public var memory: Int
    }

    public var statuses: [Status] {
        automations.map { automation in
            Status(
                name: automation.name, file: automation.file, description: automation.description,
                state: automation.hasFailed ? "failed" : automation.disabledUntil != nil ? "disabled" : "running",
                lastFault: automation.lastFault, faults: automation.faults, disabledUntil: automation.disabledUntil, runs: automation.runs,
                waiting: automation.waiting.count + retiring.reduce(0) { $0 + ($1.file == automation.file ? $1.waiting.count : 0) },
                memory: automation.lua.memory)
        }
    }

    /// What a script's `state` holds now.
    public func state(of name: String) -> Document? {
        automations.first { $0.name == name }.flatMap { try? $0.lua.get("state").document }
    }

    public var subscriptions: [TopicSubscription] {
        let filters = automations.filter { !$0.hasFailed }.flatMap { automation in
            automation.handlers.compactMap { if case .reading(let filter, _) = $0.trigger { filter } else { nil } }
        }
        return (filters + waitFilters).map { TopicSubscription(filter: $0) }
    }

    public func takeEffects() -> [ScriptEffect] {
        defer { effects = [] }
        return effects
    }

    func emit(_ automation: Automation, _ kind: ScriptEffect.Kind) {
        effects.append(ScriptEffect(at: now, automation: automation.name, kind))
    }

    // MARK: Inputs

    public func apply(_ input: ScriptInput, at instant: Instant) {
        now = max(now, instant)
        switch input {
        case .reading(var topic, let payload, let isRetained):
            topic.withUTF8 { topic in
                payload.withUnsafeBytes { read(topic: UnsafeRawBufferPointer(topic), payload: $0, isRetained: isRetained, at: instant) }
            }
        case .transition(let transition): take(transition)
        case .answer(let request, let answer): take(answer, to: request)
        case .action(let name, let function, let alert, let arguments): act(name, function, alert, arguments)
        }
    }

    /// A message, as `apply` takes it, from where its bytes lie.
    ///
    /// - Parameter receivedAt: when it came, if that was in an earlier run of the server.
    public func read(
        topic: UnsafeRawBufferPointer, payload: UnsafeRawBufferPointer, isRetained: Bool, receivedAt: Instant? = nil, at instant: Instant
    ) {
        now = max(now, instant)
        let known = routes(of: topic)
        let waiters = isRetained || !awaitsMessages ? [] : waiters(for: known.topic)
        guard !known.routes.isEmpty || !waiters.isEmpty || keepsLatest else { return }
        guard message.read(topic: topic, payload: payload, isRetained: isRetained, time: (receivedAt ?? now).seconds) else {
            undecodable += 1
            return
        }
        var kept: Reading?
        func keep() -> Reading {
            if let kept { return kept }
            let reading = Reading(topic: topic, payload: payload, isRetained: isRetained, at: receivedAt ?? now)
            kept = reading
            return reading
        }
        if keepsLatest { remember(keep()) }
        for (automation, run) in waiters { offer(keep(), to: run, of: automation) }
        for route in known.routes where !isRetained || route.takesRetained { call(route, message, keep: keep) }
    }

    private var awaitsMessages: Bool { automations.contains { $0.messageWaits > 0 } || retiring.contains { $0.messageWaits > 0 } }

    private func remember(_ reading: Reading) {
        if latest.count < Self.mostLatest || latest[reading.topic] != nil { latest[reading.topic] = reading }
    }

    private func routes(of topic: UnsafeRawBufferPointer) -> TopicRoutes {
        let hash = Self.hash(topic)
        // Two topics of one hash take turns.
        if let known = routes[hash], known.isOf(topic) { return known }
        let name = String(decoding: topic, as: UTF8.self)
        var found: [Route] = []
        for automation in automations where !automation.hasFailed {
            for (number, handler) in automation.handlers.enumerated() {
                guard case .reading(let filter, let takesRetained) = handler.trigger, let captures = filter.captures(in: name) else {
                    continue
                }
                found.append(Route(automation, number, captures: captures, takesRetained: takesRetained))
            }
        }
        if routes.count >= Self.mostRoutes { routes = [:] }
        let made = TopicRoutes(topic, found)
        routes[hash] = made
        return made
    }

    /// Eight bytes at a time.
    private static func hash(_ bytes: UnsafeRawBufferPointer) -> UInt64 {
        var hash = UInt64(bytes.count)
        func add(_ word: UInt64) {
            hash = (hash ^ word) &* 0x9e37_79b9_7f4a_7c15
            hash ^= hash >> 32
        }
        var at = 0
        while at + 8 <= bytes.count {
            add(bytes.loadUnaligned(fromByteOffset: at, as: UInt64.self))
            at += 8
        }
        var last: UInt64 = 0
        while at < bytes.count {
            last = last << 8 | UInt64(bytes[at])
            at += 1
        }
        add(last)
        return hash
    }

    private func take(_ transition: AlertTransition) {
        let alert = transition.alert
        guard !alert.isShadow else { return }
        let document = alert.scriptDocument
        for automation in automations {
            callAll(automation, .document(document), captures: alert.captures, key: alert.id) { trigger in
                guard case .alert(let name, let state) = trigger else { return false }
                return (name == "*" || name == alert.rule.alert) && (state.map { $0 == alert.state.rawValue } ?? true)
            }
        }
    }

    /// Calls what a rule's action names. What cannot be called is a fault of nobody's but told as one, and does not count against the script.
    private func act(_ name: String, _ function: String, _ alert: AlertRecord, _ arguments: Document) {
        func refuse(_ reason: String, file: String = "") {
            let message = "an action of \(alert.rule) was not run, '\(name).\(function)': \(reason)"
            effects.append(ScriptEffect(at: now, automation: name, .fault(ScriptFault(file: file, line: 0, message: message, limit: nil))))
        }
        guard let automation = automations.first(where: { $0.name == name }) else { return refuse("there is no automation '\(name)'") }
        if automation.hasFailed { return refuse("the automation could not be loaded", file: automation.file) }
        if let end = automation.disabledUntil { return refuse("the automation is disabled until \(end)", file: automation.file) }
        guard let number = automation.handlers.firstIndex(where: { if case .action(function) = $0.trigger { true } else { false } }) else {
            return refuse("the automation offers no action '\(function)'", file: automation.file)
        }
        call(automation, number, .action(alert: alert.scriptDocument, arguments: arguments), captures: alert.captures, key: alert.id)
    }

    /// Calls every handler of a script with the trigger.
    func callAll(
        _ automation: Automation, _ arguments: CallArguments, captures: [(name: String, value: String)] = [], key: String = "",
        where isMeant: (Handler.Trigger) -> Bool
    ) {
        for (number, handler) in automation.handlers.enumerated() where isMeant(handler.trigger) {
            call(automation, number, arguments, captures: captures, key: key)
        }
    }

    // MARK: Numbers

    func nextRunNumber() -> Int64 {
        nextRun += 1
        return nextRun
    }

    func newRun(_ handler: Int?, _ key: String, _ captures: [(name: String, value: String)]) -> HandlerRun {
        HandlerRun(number: nextRunNumber(), handler: handler, key: key, captures: captures)
    }

    func nextFunctionNumber() -> Int64 {
        nextFunction += 1
        return nextFunction
    }

    func newRequest() -> Int64 {
        nextRequest += 1
        return nextRequest
    }
}

extension ScriptFault {
    /// With the line of the script's text.
    init(_ failure: LuaFailure, in automation: Automation) {
        self.init(failure)
        guard failure.line > 0, failure.file == automation.file else { return }
        let lines = automation.text.split(separator: "\n", maxSplits: failure.line, omittingEmptySubsequences: false)
        guard failure.line <= lines.count, lines[failure.line - 1].contains(where: { !$0.isWhitespace }) else { return }
        sourceLine = String(lines[failure.line - 1].prefix(200))
    }

    init(_ failure: LuaFailure) {
        self.init(
            file: failure.file, line: failure.line, message: failure.message, limit: failure.limit?.rawValue, traceback: failure.traceback)
    }
}

extension AlertRecord {
    /// Its labels are what names stand for where a handler waits.
    fileprivate var captures: [(name: String, value: String)] {
        labels.sorted { $0.key < $1.key }.map { (name: $0.key, value: $0.value) }
    }
}
