import CEL
import RuleLanguage

@testable import RuleEngine

/// Drives an engine in virtual time: rules as YAML text, readings as JSON text, instants as seconds.
final class EngineDriver {
    let engine: Engine
    private(set) var transitions: [AlertTransition] = []

    struct Refused: Error, CustomStringConvertible {
        var diagnostics: [Diagnostic]
        var description: String {
            diagnostics.map { "\($0.location.line):\($0.location.column) \($0.code) \($0.message)" }.joined(separator: "; ")
        }
    }

    static func plan(
        _ yaml: String, environment: Environment = RuleLanguageEnvironment.standard, surroundings: Surroundings = .unknown
    ) throws -> EvaluationPlan {
        let loaded = RuleLoader(environment: environment).load(files: [RuleLoader.Source(name: "rules.yaml", bytes: Array(yaml.utf8))])
        guard let catalog = loaded.catalog else { throw Refused(diagnostics: loaded.diagnostics) }
        let compiled = EvaluationPlan.compile(catalog, environment: environment, surroundings: surroundings)
        guard let plan = compiled.plan else { throw Refused(diagnostics: compiled.diagnostics) }
        return plan
    }

    /// Codes of what is wrong with rules.
    static func mistakes(_ yaml: String) -> [String] {
        do {
            _ = try plan(yaml)
            return []
        } catch let refused as Refused {
            return refused.diagnostics.map(\.code)
        } catch { return ["?"] }
    }

    /// The engine has started, and its backlog is read, at `start`.
    init(
        _ yaml: String, shards: Int = 1, maximumInstances: Int = 1_000_000, start: Double? = 0,
        environment: Environment = RuleLanguageEnvironment.standard, surroundings: Surroundings = .unknown,
        allowedLateness: Duration = .seconds(60)
    ) throws {
        var settings = EngineSettings()
        settings.bounds.allowedLateness = allowedLateness
        settings.shards = shards
        settings.bounds.maximumInstances = maximumInstances
        engine = Engine(plan: try Self.plan(yaml, environment: environment, surroundings: surroundings), settings: settings)
        if let start {
            engine.connected(at: Self.instant(start))
            engine.backlogEnded(at: Self.instant(start))
        }
        collect()
    }

    init(engine: Engine) { self.engine = engine }

    init(plan: EvaluationPlan) {
        engine = Engine(plan: plan)
        engine.connected(at: Self.instant(0))
        engine.backlogEnded(at: Self.instant(0))
    }

    /// One group `g` on `t/{device}` with one rule `A`; `body` are its other keys.
    static func rule(_ body: String, on: String = "t/{device}", group: String = "") throws -> EngineDriver {
        try EngineDriver(yaml(body, on: on, group: group))
    }

    static func yaml(_ body: String, on: String = "t/{device}", group: String = "") -> String {
        let keys = body.split(separator: "\n").map { "        \($0)" }.joined(separator: "\n")
        let source = on.isEmpty ? "" : "    on: \(on)\n"
        return "groups:\n  - name: g\n\(source)\(group.isEmpty ? "" : "    \(group)\n")    rules:\n      - alert: A\n\(keys)\n"
    }

    static func instant(_ seconds: Double) -> Instant { Instant(nanoseconds: Int64((seconds * 1e9).rounded())) }

    func send(_ topic: String, _ payload: String, at seconds: Double, retained: Bool = false) {
        send(topic, Array(payload.utf8), at: seconds, retained: retained)
    }

    func send(_ topic: String, _ payload: [UInt8], at seconds: Double, retained: Bool = false) {
        var batch = MessageBatch()
        batch.append(topic: topic, payload: payload, flags: retained ? .retained : [])
        engine.ingest(batch, at: Self.instant(seconds))
        collect()
    }

    func ingest(_ batch: MessageBatch, at seconds: Double) {
        engine.ingest(batch, at: Self.instant(seconds))
        collect()
    }

    func advance(to seconds: Double) {
        engine.advance(to: Self.instant(seconds))
        collect()
    }

    func reload(_ yaml: String, at seconds: Double) throws {
        engine.reload(try Self.plan(yaml), at: Self.instant(seconds))
        collect()
    }

    func setDevice(_ id: String, _ json: String?, labels: [String: String] = [:], at seconds: Double) throws {
        engine.setDevice(id, config: try json.map { try Document(json: $0) }, labels: labels, at: Self.instant(seconds))
        collect()
    }

    func setVariable(_ name: String, _ json: String?, at seconds: Double) throws {
        engine.setVariable(name, try json.map { try Document(json: $0) }, at: Self.instant(seconds))
        collect()
    }

    func connected(at seconds: Double) {
        engine.connected(at: Self.instant(seconds))
        collect()
    }

    func disconnected(at seconds: Double) {
        engine.disconnected(at: Self.instant(seconds))
        collect()
    }

    func backlogEnded(at seconds: Double) {
        engine.backlogEnded(at: Self.instant(seconds))
        collect()
    }

    func restore(_ records: [AlertRecord], at seconds: Double) {
        engine.restore(records, at: Self.instant(seconds))
        collect()
    }

    /// Queries that became due since this was last asked.
    private(set) var due: [DueQuery] = []

    func takeDue() -> [DueQuery] {
        defer { due = [] }
        return due
    }

    func apply(_ outcome: QueryOutcome, at seconds: Double) {
        engine.applyRows(outcome, at: Self.instant(seconds))
        collect()
    }

    private func collect() {
        let effects = engine.takeEffects()
        transitions += effects.transitions
        due += effects.dueQueries
    }

    /// The transitions since this was last asked.
    func take() -> [AlertTransition] {
        defer { transitions = [] }
        return transitions
    }

    /// `12s A(d1) firing` for each transition since this was last asked; with the reason where it is no condition or time.
    func log() -> [String] { take().map(\.short) }

    /// Timers that are set, out of date or not.
    var timerCount: Int { engine.shards.reduce(0) { $0 + $1.timers.count } }

    func status(_ alert: String = "A") -> RuleActivity? { engine.status(of: RuleIdentity(group: "g", alert: alert)) }
}

extension AlertTransition {
    var short: String {
        let seconds = Double(alert.changedAt.nanoseconds) / 1e9
        let level = alert.level.map { " \($0)" } ?? ""
        let state = isOccurrence ? "occurred" : alert.state.rawValue
        let reason = [.condition, .duration, .level, .occurrence].contains(alert.reason) ? "" : " [\(alert.reason.rawValue)]"
        return "\(seconds.shortest)s \(alert.rule.alert)(\(alert.key.joined(separator: ","))) \(state)\(level)\(reason)"
    }
}
