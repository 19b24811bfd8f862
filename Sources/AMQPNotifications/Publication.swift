/// A value of a message header that we write or read.
enum HeaderValue: Sendable, Equatable {
    case text(String)
    case integer(Int64)
}

/// A message on its way to the broker.
struct Publication: Sendable {
    var exchange: String
    var routingKey: String
    /// Whether it counts as failed when no queue takes it.
    var isMandatory = true
    var messageID: String?
    var contentType: String?
    var headers: [(name: String, value: HeaderValue)] = []
    var body: [UInt8]

    /// AMQP's short strings end at 255 bytes, and all properties must fit into one frame (of which the broker grants 128 KiB).
    /// The library finds out too late: after the frame before.
    func refusalReason() -> String? {
        if exchange.utf8.count > 255 || routingKey.utf8.count > 255 { return "the routing key is longer than 255 bytes" }
        if let messageID, messageID.utf8.count > 255 { return "the message id is longer than 255 bytes" }
        let size = headers.reduce(0) { sum, header in
            if case .text(let text) = header.value {
                sum + header.name.utf8.count + text.utf8.count
            } else {
                sum + header.name.utf8.count + 8
            }
        }
        return size > 65_536 ? "the headers are longer than 64 KiB" : nil
    }
}

/// A message from the broker, copied out of the library's memory. Headers of other types than ours are left out.
struct ReceivedMessage: Sendable {
    var messageID: String?
    var headers: [String: HeaderValue] = [:]
    var body: [UInt8] = []

    func text(_ name: String) -> String? {
        if case .text(let text)? = headers[name] { text } else { nil }
    }

    func integer(_ name: String) -> Int64? {
        if case .integer(let integer)? = headers[name] { integer } else { nil }
    }
}

/// Why messages are not stored in the broker.
enum PublishFailure: Error, Sendable {
    /// The connection is down, was lost before the confirm, or the broker refused to store: the same may work later.
    case unavailable(String)
    /// No queue is bound for the routing key.
    case unroutable(String)
    case refused(String)
}
