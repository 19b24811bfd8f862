/// Everything that changes an engine, as one value: the same inputs at the same instants lead every engine to the same state and effects.
public enum EngineInput: Sendable {
    /// The server starts: what came due while it was away waits for the broker's backlog.
    case start
    /// The broker is there, again or for the first time.
    case connected
    case backlogEnded
    /// The connection to the broker is lost: nobody knows what devices say, and their silence does not count.
    case disconnected
    /// Timers that are due are run.
    case time
    case readings(MessageBatch)
    /// Other rules; a journal keeps them once, by name.
    case rules(EvaluationPlan, catalogue: String)
    /// The effective configuration of a device; nil: it is not registered any more.
    case device(id: String, config: Document?, labels: [String: String], location: GeoPoint?)
    case variable(name: String, Document?)
    /// The wall clock was set forward, and engine time with it.
    case clockJump(nanoseconds: Int64)
    /// What came of asking a query of the rules.
    case rows(QueryOutcome)
    /// The configuration says something else of what is taken.
    case bounds(EngineBounds)
    /// An automation fires an alert of its own, or changes it.
    case raise(ScriptAlert)
    /// An automation ends alerts of its own.
    case resolve(ScriptAlertSelection)
    /// The automations that there are.
    case automations([String])

    /// Number of the kind in a journal; never given to another.
    var kind: UInt8 {
        switch self {
        case .start: 1
        case .connected: 2
        case .backlogEnded: 3
        case .time: 4
        case .readings: 5
        case .rules: 6
        case .device: 7
        case .variable: 8
        case .clockJump: 9
        case .rows: 10
        case .bounds: 11
        case .raise: 12
        case .resolve: 13
        case .automations: 14
        case .disconnected: 15
        }
    }
}

extension Engine {
    public func apply(_ input: EngineInput, at instant: Instant) {
        switch input {
        case .start: start(at: instant)
        case .connected: connected(at: instant)
        case .backlogEnded: backlogEnded(at: instant)
        case .disconnected: disconnected(at: instant)
        case .time: advance(to: instant)
        case .readings(let batch): ingest(batch, at: instant)
        case .rules(let plan, _): reload(plan, at: instant)
        case .device(let id, let config, let labels, let location):
            setDevice(id, config: config, labels: labels, location: location, at: instant)
        case .variable(let name, let value): setVariable(name, value, at: instant)
        case .clockJump(let nanoseconds): clockJumped(by: nanoseconds, at: instant)
        case .rows(let outcome): applyRows(outcome, at: instant)
        case .bounds(let bounds): setBounds(bounds, at: instant)
        case .raise(let alert): raise(alert, at: instant)
        case .resolve(let selection): resolve(selection, at: instant)
        case .automations(let names): setAutomations(names, at: instant)
        }
    }
}
