internal import RuleEngine

/// A function of a script, and when it is called.
struct Handler {
    enum Trigger {
        case reading(TopicFilter, takesRetained: Bool)
        /// `*`: any alert; state nil: any state.
        case alert(name: String, state: String?)
        case every(nanoseconds: Int64)
        case cron(CronExpression)
        case start, stop
        /// What `schedule` kept until it was due.
        case schedule(name: String)
        /// What the `actions` of a rule name.
        case action(name: String)
    }
    /// What happens when it is called again while a call of the same key still waits.
    enum Mode: String, CaseIterable {
        case single, restart, queued, parallel
    }
    var trigger: Trigger
    var function: LuaFunction
    var mode = Mode.single
    /// Captures whose values tell calls apart.
    var key: [String] = []
    /// The values of the key, of a call with these captures.
    func key(_ captures: [(name: String, value: String)]) -> String {
        key.map { name in captures.first { $0.name == name }?.value ?? "" }.joined(separator: "/")
    }

    /// Calls that may wait at once (parallel), or stand in line (queued), for one key.
    var most = 10
    /// A clock (`every`, `cron`) that the script has stopped.
    var isCancelled = false
}

/// A call of a handler that has not ended.
final class HandlerRun {
    enum Wait {
        /// For an instant alone.
        case time
        case message(MessageWait)
        case request(Int64)
    }
    struct MessageWait {
        var filter: TopicFilter
        var topic: String?
        var condition: CELCondition?
    }
    let number: Int64
    /// Its place in the script's handlers; nil for a function that `after` or an action called.
    let handler: Int?
    let key: String
    let captures: [(name: String, value: String)]
    var thread: LuaThread?
    var wait = Wait.time
    /// Grows with every wait: a timer of an earlier one finds that it is late.
    var waits = 0

    init(number: Int64, handler: Int?, key: String, captures: [(name: String, value: String)]) {
        self.number = number
        self.handler = handler
        self.key = key
        self.captures = captures
    }
}
