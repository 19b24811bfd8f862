/// The exchanges and queues below one prefix, and the keys between them.
struct Topology: Sendable {
    let prefix: String

    var due: String { "\(prefix).due" }
    var notifications: String { "\(prefix).notifications" }
    var events: String { "\(prefix).events" }
    var dead: String { "\(prefix).dead" }
    func channel(_ receiver: String) -> String { "\(prefix).channel.\(receiver)" }
    /// Exchange and queue of a delay level have the same name.
    func delay(_ level: Int) -> String { "\(prefix).delay.\(level)" }

    static let levelCount = 28
    /// The longest delay, in seconds; beyond it a message comes early and is scheduled again.
    static let longestDelay = (Int64(1) << levelCount) - 1

    private static let durable: [(String, HeaderValue)] = [("x-queue-type", .text("quorum"))]

    /// Everything but the receivers' queues. Bindings of a level's target come before the level: what dead-letters into nothing waits for
    /// minutes in the broker, though it is not lost (`at-least-once`, which wants `reject-publish`).
    func declare(on connection: AMQPConnection) throws(AMQPFailure) {
        try connection.declareTopicExchange(notifications)
        try connection.declareTopicExchange(events)
        try connection.declareQueue(dead, Self.durable)
        try connection.declareQueue(due, Self.durable)
        for level in 0..<Self.levelCount { try declareDelay(level, on: connection) }
    }

    /// A message waits 2^level seconds in the level's queue when its bit is 1 and passes by it when it is 0. The level's TTL is the queue's, so no
    /// message waits for one before it.
    private func declareDelay(_ level: Int, on connection: AMQPConnection) throws(AMQPFailure) {
        let name = delay(level)
        var arguments =
            Self.durable + [
                ("x-message-ttl", .integer((Int64(1) << Int64(level)) * 1000)), ("x-dead-letter-strategy", .text("at-least-once")),
                ("x-overflow", .text("reject-publish")),
            ]
        if level == 0 {
            arguments += [("x-dead-letter-exchange", .text("")), ("x-dead-letter-routing-key", .text(due))]
        } else {
            arguments += [("x-dead-letter-exchange", .text(delay(level - 1)))]
        }
        let higherBits = String(repeating: "*.", count: Self.levelCount - 1 - level)
        try connection.declareTopicExchange(name)
        if level == 0 {
            try connection.bind(queue: due, to: name, key: higherBits + "0.#")
        } else {
            try connection.bind(exchange: delay(level - 1), to: name, key: higherBits + "0.#")
        }
        try connection.declareQueue(name, arguments)
        try connection.bind(queue: name, to: name, key: higherBits + "1.#")
    }

    /// A receiver's queue.
    func declare(receiver: String, on connection: AMQPConnection) throws(AMQPFailure) {
        let name = channel(receiver)
        try connection.declareQueue(name, Self.durable)
        try connection.bind(queue: name, to: notifications, key: "\(Self.word(receiver)).#")
    }

    /// Where a message goes in that is to come to `due` after so many seconds (1 and more), and with which key: its bits, the highest first.
    func entrance(delay seconds: Int64) -> (exchange: String, routingKey: String) {
        let clamped = max(1, min(seconds, Self.longestDelay))
        let highest = Int64.bitWidth - 1 - clamped.leadingZeroBitCount
        let bits = (0..<Self.levelCount).reversed().map { clamped >> Int64($0) & 1 == 1 ? "1" : "0" }
        return (delay(highest), bits.joined(separator: "."))
    }

    static func deliveryKey(receiver: String, severity: String?, status: String) -> String {
        "\(word(receiver)).\(word(severity ?? "")).\(word(status))"
    }

    static func eventKey(alertname: String, state: String) -> String { "alert.\(word(alertname)).\(word(state))" }

    /// One word of a topic key: `.` would end it, `*` and `#` are wildcards of bindings, `%` is what they are written with. An empty one is `none`.
    static func word(_ text: String) -> String {
        guard !text.isEmpty else { return "none" }
        var word = ""
        for scalar in text.unicodeScalars {
            switch scalar {
            case ".": word += "%2E"
            case "*": word += "%2A"
            case "#": word += "%23"
            case "%": word += "%25"
            default: word.unicodeScalars.append(scalar)
            }
        }
        return word
    }
}
