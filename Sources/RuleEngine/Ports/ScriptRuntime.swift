/// What scripts are told.
public enum ScriptInput: Sendable {
    case reading(topic: String, payload: [UInt8], isRetained: Bool)
    /// An alert changed, and the change is stored.
    case transition(AlertTransition)
    /// What became of a request that a script made (`ScriptEffect.Kind.request`).
    case answer(request: Int64, ScriptAnswer)
    /// An action of a rule: a function of an automation, with the alert that it belongs to.
    case action(automation: String, function: String, alert: AlertRecord, arguments: Document)
}

/// Why a script, or one of its handlers, ended before its time.
public struct ScriptFault: Sendable, Equatable {
    public var file: String
    public var line: Int
    public var message: String
    /// The limit's name, when it was one.
    public var limit: String?
    public var traceback: String
    /// The text of the line; nil where there is none.
    public var sourceLine: String?
    /// Set when this was one fault too many: the automation rests until then.
    public var disabledUntil: Instant?

    public init(file: String, line: Int, message: String, limit: String?, traceback: String = "", disabledUntil: Instant? = nil) {
        self.file = file
        self.line = line
        self.message = message
        self.limit = limit
        self.traceback = traceback
        self.disabledUntil = disabledUntil
    }

    /// `file:line: message`, under it the line, and the way there if it is longer than a step.
    public var text: String {
        let place = file.isEmpty ? "" : line > 0 ? "\(file):\(line): " : "\(file): "
        let shown = sourceLine.map { "\n\(line) | \($0)" } ?? ""
        let way = traceback.split(separator: "\n").count > 1 ? "\n\(traceback)" : ""
        return place + message + shown + way
    }
}

/// Something that a script wants done, in the order in which it was wanted.
public struct ScriptEffect: Sendable {
    public enum Kind: Sendable {
        case publish(topic: String, payload: [UInt8], qos: UInt8, retain: Bool)
        /// Tell a receiver: `{summary, description?, severity?, labels?}`.
        case notify(receiver: String, content: Document)
        case log(level: String, message: String)
        /// Fire an alert of the script's own, or change the one that fires.
        case raise(ScriptAlert)
        /// End those of the script's own that agree.
        case resolve(ScriptAlertSelection)
        /// Acknowledge an alert, make or end a silence.
        case hush(HushRequest)
        /// The script waits for the answer under this number.
        case request(Int64, ScriptRequest)
        /// Keep a document (nil: remove it) under an id of the collection `scripts`.
        case store(id: String, Document?)
        case fault(ScriptFault)
        /// `ScriptRuntime.subscriptions` is not what it was.
        case subscriptionsChanged
    }
    public var at: Instant
    public var automation: String
    public var kind: Kind

    public init(at: Instant, automation: String, _ kind: Kind) {
        self.at = at
        self.automation = automation
        self.kind = kind
    }
}

/// What scripts can look at. Called while a script runs: answers at once, from memory.
public struct ScriptWorld: Sendable {
    public struct Device: Sendable {
        public var id: String
        public var config: Document
        public var labels: [String: String]
        public init(id: String, config: Document, labels: [String: String] = [:]) {
            self.id = id
            self.config = config
            self.labels = labels
        }
    }
    /// With its effective configuration.
    public var device: @Sendable (String) -> Device?
    /// In the order of their ids' bytes.
    public var devices: @Sendable () -> [Device]
    public var alerts: @Sendable () -> [AlertRecord]
    /// The value of `vars.NAME`.
    public var variable: @Sendable (String) -> Document?

    public init(
        device: @escaping @Sendable (String) -> Device? = { _ in nil }, devices: @escaping @Sendable () -> [Device] = { [] },
        alerts: @escaping @Sendable () -> [AlertRecord] = { [] }, variable: @escaping @Sendable (String) -> Document? = { _ in nil }
    ) {
        self.device = device
        self.devices = devices
        self.alerts = alerts
        self.variable = variable
    }
}

/// Scripts as a machine: inputs with their instants in, effects out. Nothing in it reads a clock or the outside, so equal inputs give equal effects.
///
/// Contract
/// * Instants never go back. Timers that are due before an input are run by calling `advance` first.
/// * A script that fails ends alone: its fault is an effect, other scripts go on.
/// * One owner at a time; a call may take as long as scripts are allowed to run.
public protocol ScriptRuntime: AnyObject {
    /// Filters of what handlers listen to.
    var subscriptions: [TopicSubscription] { get }
    var nextDue: Instant? { get }
    func apply(_ input: ScriptInput, at instant: Instant)
    /// Runs what is due up to `instant`, at most `most` handlers; true when there is more.
    func advance(to instant: Instant, most: Int) -> Bool
    /// The effects since they were last taken.
    func takeEffects() -> [ScriptEffect]
    /// What a script's `state` holds now; nil: there is no such script, or its state cannot be stored.
    func state(of automation: String) -> Document?
}
