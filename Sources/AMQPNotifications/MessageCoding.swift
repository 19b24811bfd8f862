internal import RuleEngine

/// A message that is none of ours: garbage, or what somebody else has put into our queue.
struct UnreadableMessage: Error {
    var reason: String
}

extension Topology {
    /// A message on its way to its instant: past ones go to where they are wanted, others in at the delay levels.
    func publication(of message: ScheduledMessage, now: Instant) -> Publication {
        let wait = message.dueAt - now
        guard wait > 0 else { return publicationWhenDue(message) }
        let (exchange, key) = entrance(delay: wait / 1_000_000_000 + (wait % 1_000_000_000 > 0 ? 1 : 0))
        return Publication(message, exchange: exchange, routingKey: key)
    }

    func publicationWhenDue(_ message: ScheduledMessage) -> Publication {
        switch message.kind {
        case .wake: Publication(message, exchange: "", routingKey: due)
        case .delivery(let receiver, let severity, let status):
            Publication(
                message, exchange: notifications, routingKey: Self.deliveryKey(receiver: receiver, severity: severity, status: status))
        }
    }

    func deadPublication(_ message: ScheduledMessage, reason: String) -> Publication {
        var publication = Publication(message, exchange: "", routingKey: dead)
        publication.headers.append(("reason", .text(shortened(reason))))
        return publication
    }

    /// Of a message that cannot be read: its body as it is, under the queue that it was in.
    func deadPublication(_ message: ReceivedMessage, queue: String, reason: String) -> Publication {
        Publication(
            exchange: "", routingKey: dead, messageID: message.messageID,
            headers: [("reason", .text(shortened(reason))), ("queue", .text(queue))], body: message.body)
    }

    /// Lists also what somebody else has put there.
    func deadLetter(_ message: ReceivedMessage) -> DeadLetter {
        let reason = message.text("reason") ?? "no reason given"
        if let readable = try? message.scheduledMessage() { return DeadLetter(message: readable, reason: reason) }
        let prefix = channel("")
        let receiver = message.text("queue").flatMap { $0.hasPrefix(prefix) ? String($0.dropFirst(prefix.count)) : nil }
        let kind: ScheduledMessage.Kind =
            receiver.map { .delivery(receiver: $0, severity: nil, status: "") } ?? .wake(groupKey: "")
        return DeadLetter(
            message: ScheduledMessage(id: message.messageID ?? "", kind: kind, dueAt: Instant(milliseconds: 0), body: message.body),
            reason: reason)
    }

    /// A reason must not make a message too large to be kept.
    private func shortened(_ reason: String) -> String {
        reason.utf8.count <= 4096 ? reason : String(decoding: reason.utf8.prefix(4096), as: UTF8.self) + "…"
    }
}

extension Publication {
    fileprivate init(_ message: ScheduledMessage, exchange: String, routingKey: String) {
        var headers: [(name: String, value: HeaderValue)] = [
            ("attempt", .integer(Int64(message.attempt))), ("due-at", .integer(message.dueAt.millisecondsUp)),
        ]
        var contentType: String?
        switch message.kind {
        case .wake(let groupKey):
            headers += [("kind", .text("wake")), ("group-key", .text(groupKey))]
        case .delivery(let receiver, let severity, let status):
            headers += [("kind", .text("delivery")), ("receiver", .text(receiver)), ("status", .text(status))]
            if let severity { headers.append(("severity", .text(severity))) }
            contentType = "application/cloudevents+json"
        }
        self.init(
            exchange: exchange, routingKey: routingKey, messageID: message.id, contentType: contentType, headers: headers,
            body: message.body)
    }
}

extension ReceivedMessage {
    func scheduledMessage() throws(UnreadableMessage) -> ScheduledMessage {
        guard let id = messageID else { throw UnreadableMessage(reason: "no message id in UTF-8") }
        guard let dueAt = integer("due-at") else { throw UnreadableMessage(reason: "no whole number in the header 'due-at'") }
        guard let attempt = integer("attempt"), (0...Int64(Int32.max)).contains(attempt) else {
            throw UnreadableMessage(reason: "no number of an attempt in the header 'attempt'")
        }
        return ScheduledMessage(
            id: id, kind: try kind(), dueAt: Instant(milliseconds: dueAt), attempt: Int(attempt), body: body)
    }

    private func kind() throws(UnreadableMessage) -> ScheduledMessage.Kind {
        switch text("kind") {
        case "wake":
            guard let groupKey = text("group-key") else { throw UnreadableMessage(reason: "no text in the header 'group-key'") }
            return .wake(groupKey: groupKey)
        case "delivery":
            guard let receiver = text("receiver"), !receiver.isEmpty, let status = text("status") else {
                throw UnreadableMessage(reason: "no text in the header 'receiver' or 'status'")
            }
            return .delivery(receiver: receiver, severity: text("severity"), status: status)
        default: throw UnreadableMessage(reason: "the header 'kind' is neither 'wake' nor 'delivery'")
        }
    }
}

extension Instant {
    /// Rounded up, so that nothing comes early.
    var millisecondsUp: Int64 { nanoseconds % 1_000_000 > 0 ? milliseconds + 1 : milliseconds }
}
