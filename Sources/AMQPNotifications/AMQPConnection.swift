internal import CRabbitMQ
internal import Glibc

/// What the broker or the library said no with.
struct AMQPFailure: Error, CustomStringConvertible {
    var description: String
}

/// What the broker sends by itself.
enum Incoming {
    case delivery(tag: UInt64, consumerTag: String, ReceivedMessage)
    case confirmed(tag: UInt64, multiple: Bool)
    case rejected(tag: UInt64, multiple: Bool)
    case returned(exchange: String, routingKey: String, messageID: String?)
}

/// One connection with one channel. Not Sendable on purpose: librabbitmq's connection is for one thread, the one that opens it.
/// Every failure leaves it unusable: let go of it and open another.
final class AMQPConnection {
    private let state: amqp_connection_state_t
    private static let channel: amqp_channel_t = 1
    /// Heartbeats are sent inside library calls only, so one must be made more often than this.
    let longestPause: Duration

    init(_ configuration: AMQPConfiguration) throws(AMQPFailure) {
        guard let state = amqp_new_connection() else { throw AMQPFailure(description: "out of memory") }
        self.state = state
        longestPause = configuration.heartbeat / 4
        try open(configuration)
    }

    deinit { amqp_destroy_connection(state) }

    private func open(_ configuration: AMQPConfiguration) throws(AMQPFailure) {
        let socket = configuration.isEncrypted ? try encryptedSocket(configuration) : amqp_tcp_socket_new(state)
        guard let socket else { throw AMQPFailure(description: "out of memory") }
        var connectTimeout = timeval(configuration.connectTimeout)
        try check(amqp_socket_open_noblock(socket, configuration.host, configuration.port, &connectTimeout), "connect")
        // A broker that has run out of memory or disk stops reading: writing would block without end.
        var silence = UInt32(clamping: configuration.confirmTimeout.components.seconds.multipliedSaturating(by: 1000))
        setsockopt(amqp_get_sockfd(state), Int32(IPPROTO_TCP), TCP_USER_TIMEOUT, &silence, socklen_t(MemoryLayout<UInt32>.size))
        amqp_set_handshake_timeout(state, &connectTimeout)
        var replyTimeout = timeval(.seconds(15))
        amqp_set_rpc_timeout(state, &replyTimeout)
        let heartbeat = Int32(clamping: max(1, configuration.heartbeat.components.seconds))
        try check(
            shim_amqp_login_plain(
                state, configuration.virtualHost, 0, 131_072, heartbeat, configuration.user.value, configuration.password.value),
            "log in")
        amqp_channel_open(state, Self.channel)
        try checkReply("open a channel")
    }

    private func encryptedSocket(_ configuration: AMQPConfiguration) throws(AMQPFailure) -> OpaquePointer? {
        guard let socket = amqp_ssl_socket_new(state) else { return nil }
        amqp_ssl_socket_set_verify_peer(socket, 1)
        amqp_ssl_socket_set_verify_hostname(socket, 1)
        amqp_ssl_socket_set_ssl_versions(socket, AMQP_TLSv1_2, AMQP_TLSvLATEST)
        guard amqp_ssl_socket_set_cacert(socket, configuration.caFile) == AMQP_STATUS_OK.rawValue else {
            throw AMQPFailure(description: "no certificates can be read from '\(configuration.caFile)'")
        }
        return socket
    }

    /// Says good-bye, so that the broker offers what is not acknowledged to others at once.
    func close() { amqp_connection_close(state, AMQP_REPLY_SUCCESS) }

    /// The descriptor to wait on when `nextIncoming` has nothing more.
    var descriptor: Int32 { amqp_get_sockfd(state) }
}

// MARK: - Declaring

extension AMQPConnection {
    func declareTopicExchange(_ name: String) throws(AMQPFailure) {
        withCallMemory { amqp_exchange_declare(state, Self.channel, $0.bytes(name), $0.bytes("topic"), 0, 1, 0, 0, amqp_table_t()) }
        try checkReply("declare the exchange '\(name)'")
    }

    func declareQueue(_ name: String, _ arguments: [(String, HeaderValue)]) throws(AMQPFailure) {
        withCallMemory { amqp_queue_declare(state, Self.channel, $0.bytes(name), 0, 1, 0, 0, $0.table(arguments)) }
        try checkReply("declare the queue '\(name)'")
    }

    func bind(queue: String, to exchange: String, key: String) throws(AMQPFailure) {
        withCallMemory { amqp_queue_bind(state, Self.channel, $0.bytes(queue), $0.bytes(exchange), $0.bytes(key), amqp_table_t()) }
        try checkReply("bind the queue '\(queue)' to '\(exchange)'")
    }

    func bind(exchange: String, to source: String, key: String) throws(AMQPFailure) {
        withCallMemory { amqp_exchange_bind(state, Self.channel, $0.bytes(exchange), $0.bytes(source), $0.bytes(key), amqp_table_t()) }
        try checkReply("bind the exchange '\(exchange)' to '\(source)'")
    }

    func delete(queue name: String) throws(AMQPFailure) {
        withCallMemory { amqp_queue_delete(state, Self.channel, $0.bytes(name), 0, 0) }
        try checkReply("delete the queue '\(name)'")
    }

    func delete(exchange name: String) throws(AMQPFailure) {
        withCallMemory { amqp_exchange_delete(state, Self.channel, $0.bytes(name), 0) }
        try checkReply("delete the exchange '\(name)'")
    }
}

// MARK: - Publishing and consuming

extension AMQPConnection {
    func selectConfirms() throws(AMQPFailure) {
        amqp_confirm_select(state, Self.channel)
        try checkReply("ask for confirms")
    }

    func publish(_ publication: Publication) throws(AMQPFailure) {
        let status = withCallMemory { memory in
            publication.body.withUnsafeBytes { body in
                var properties = memory.properties(publication)
                return amqp_basic_publish(
                    state, Self.channel, memory.bytes(publication.exchange), memory.bytes(publication.routingKey),
                    publication.isMandatory ? 1 : 0, 0, &properties,
                    // The library only reads it.
                    amqp_bytes_t(len: body.count, bytes: UnsafeMutableRawPointer(mutating: body.baseAddress)))
            }
        }
        try check(status, "publish")
    }

    func consume(_ queue: String, consumerTag: String, prefetch: UInt16) throws(AMQPFailure) {
        amqp_basic_qos(state, Self.channel, 0, prefetch, 0)
        try checkReply("set the prefetch")
        withCallMemory {
            amqp_basic_consume(state, Self.channel, $0.bytes(queue), $0.bytes(consumerTag), 0, 0, 0, amqp_table_t())
        }
        try checkReply("consume '\(queue)'")
    }

    func cancelConsumer(_ consumerTag: String) throws(AMQPFailure) {
        withCallMemory { amqp_basic_cancel(state, Self.channel, $0.bytes(consumerTag)) }
        try checkReply("stop consuming")
    }

    func acknowledge(_ tag: UInt64) throws(AMQPFailure) {
        try check(amqp_basic_ack(state, Self.channel, tag, 0), "acknowledge")
    }

    func giveBack(_ tag: UInt64, multiple: Bool = false) throws(AMQPFailure) {
        try check(amqp_basic_nack(state, Self.channel, tag, multiple ? 1 : 0, 1), "give back")
    }

    /// The queue's next message, which stays unacknowledged; nil when there is none.
    func get(_ queue: String) throws(AMQPFailure) -> (tag: UInt64, message: ReceivedMessage)? {
        amqp_maybe_release_buffers(state)
        let reply = withCallMemory { amqp_basic_get(state, Self.channel, $0.bytes(queue), 0) }
        try check(reply, "read '\(queue)'")
        guard reply.reply.id == AMQP_BASIC_GET_OK_METHOD, let decoded = reply.reply.decoded else { return nil }
        let tag = decoded.assumingMemoryBound(to: amqp_basic_get_ok_t.self).pointee.delivery_tag
        return (tag, try readMessage())
    }

    /// What has come in; nil when there is nothing more at this moment. Also sends the heartbeat that is due. Never waits for a message to begin.
    func nextIncoming() throws(AMQPFailure) -> Incoming? {
        while true {
            amqp_maybe_release_buffers(state)
            var frame = amqp_frame_t()
            var noTime = timeval()
            let status = amqp_simple_wait_frame_noblock(state, &frame, &noTime)
            if status == AMQP_STATUS_TIMEOUT.rawValue { return nil }
            try check(status, "wait for the broker")
            guard frame.frame_type == AMQP_FRAME_METHOD else { continue }
            if let incoming = try incoming(frame.payload.method) { return incoming }
        }
    }

    private func incoming(_ method: amqp_method_t) throws(AMQPFailure) -> Incoming? {
        guard let decoded = method.decoded else { return nil }
        switch method.id {
        case AMQP_BASIC_ACK_METHOD:
            let ack = decoded.assumingMemoryBound(to: amqp_basic_ack_t.self).pointee
            return .confirmed(tag: ack.delivery_tag, multiple: ack.multiple != 0)
        case AMQP_BASIC_NACK_METHOD:
            let nack = decoded.assumingMemoryBound(to: amqp_basic_nack_t.self).pointee
            return .rejected(tag: nack.delivery_tag, multiple: nack.multiple != 0)
        case AMQP_BASIC_DELIVER_METHOD:
            let delivery = decoded.assumingMemoryBound(to: amqp_basic_deliver_t.self).pointee
            let (tag, consumerTag) = (delivery.delivery_tag, text(delivery.consumer_tag))
            return .delivery(tag: tag, consumerTag: consumerTag, try readMessage())
        case AMQP_BASIC_RETURN_METHOD:
            let notice = decoded.assumingMemoryBound(to: amqp_basic_return_t.self).pointee
            let (exchange, routingKey) = (text(notice.exchange), text(notice.routing_key))
            return .returned(exchange: exchange, routingKey: routingKey, messageID: try readMessage().messageID)
        case AMQP_BASIC_CANCEL_METHOD:
            throw AMQPFailure(description: "the broker has cancelled a consumer: its queue was deleted, or its leader is away")
        case AMQP_CHANNEL_CLOSE_METHOD, AMQP_CONNECTION_CLOSE_METHOD:
            throw AMQPFailure(description: closeReason(method))
        default: return nil
        }
    }

    private func readMessage() throws(AMQPFailure) -> ReceivedMessage {
        var message = amqp_message_t()
        try check(amqp_read_message(state, Self.channel, &message, 0), "read a message")
        defer { amqp_destroy_message(&message) }
        return ReceivedMessage(message)
    }
}

// MARK: - Answers

extension AMQPConnection {
    private func check(_ status: Int32, _ what: String) throws(AMQPFailure) {
        guard status != AMQP_STATUS_OK.rawValue else { return }
        throw AMQPFailure(description: "cannot \(what): \(libraryText(status))")
    }

    private func checkReply(_ what: String) throws(AMQPFailure) { try check(amqp_get_rpc_reply(state), what) }

    private func check(_ reply: amqp_rpc_reply_t, _ what: String) throws(AMQPFailure) {
        switch reply.reply_type {
        case AMQP_RESPONSE_NORMAL: return
        case AMQP_RESPONSE_LIBRARY_EXCEPTION: throw AMQPFailure(description: "cannot \(what): \(libraryText(reply.library_error))")
        case AMQP_RESPONSE_SERVER_EXCEPTION: throw AMQPFailure(description: "cannot \(what): \(closeReason(reply.reply))")
        default: throw AMQPFailure(description: "cannot \(what): the broker closed the connection")
        }
    }

    private func libraryText(_ status: Int32) -> String {
        amqp_error_string2(status).map { String(cString: $0) } ?? "status \(status)"
    }

    private func closeReason(_ method: amqp_method_t) -> String {
        guard let decoded = method.decoded else { return "the broker refused" }
        switch method.id {
        case AMQP_CHANNEL_CLOSE_METHOD:
            let close = decoded.assumingMemoryBound(to: amqp_channel_close_t.self).pointee
            let hint =
                close.reply_code == 406
                ? "; it exists with other properties: delete it or choose another amqp.prefix" : ""
            return "\(close.reply_code) \(text(close.reply_text))\(hint)"
        case AMQP_CONNECTION_CLOSE_METHOD:
            let close = decoded.assumingMemoryBound(to: amqp_connection_close_t.self).pointee
            return "\(close.reply_code) \(text(close.reply_text))"
        default: return "the broker refused"
        }
    }
}

extension timeval {
    fileprivate init(_ duration: Duration) {
        let (seconds, attoseconds) = max(duration, .zero).components
        self.init(tv_sec: Int(seconds), tv_usec: Int(attoseconds / 1_000_000_000_000))
    }
}

extension Int64 {
    func multipliedSaturating(by factor: Int64) -> Int64 {
        let (product, overflow) = multipliedReportingOverflow(by: factor)
        return overflow ? ((self < 0) == (factor < 0) ? .max : .min) : product
    }
}
