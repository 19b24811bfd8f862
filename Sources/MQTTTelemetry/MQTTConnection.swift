import CMosquitto
import Glibc

/// A message as it lies in libmosquitto's memory: valid only while it is handed over.
struct IncomingMessage {
    /// Ends with a zero byte.
    var topic: UnsafePointer<CChar>
    var topicBytes: UnsafeRawBufferPointer
    var payload: UnsafeRawBufferPointer
    var packetID: UInt16
    var qos: UInt8
    var isRetained: Bool
    /// DUP was set. Known only while the connection observes it (`observesDuplicates`).
    var isDuplicate: Bool
    /// Of MQTT 5; read with `subscriptionIdentifiers`.
    var properties: OpaquePointer?

    var subscriptionIdentifiers: [UInt32] {
        var found: [UInt32] = []
        var value: UInt32 = 0
        var at = mosquitto_property_read_varint(properties, MQTTConnection.subscriptionIdentifier, &value, false)
        while let property = at {
            found.append(value)
            at = mosquitto_property_read_varint(property, MQTTConnection.subscriptionIdentifier, &value, true)
        }
        return found
    }
}

/// What a connection reports, on the thread that drives it, from within `read` and `write`.
protocol MQTTConnectionDelegate: AnyObject {
    func connectionAccepted(sessionPresent: Bool)
    func received(_ message: IncomingMessage)
    /// `refusal` is nil when granted.
    func subscribeAcknowledged(packetID: Int32, refusal: String?)
    func unsubscribeAcknowledged(packetID: Int32)
    /// QoS 0: written; else the broker's answer. `refusal` is nil when it took the message.
    func publishAcknowledged(packetID: Int32, refusal: String?)
}

/// One libmosquitto client, driven by a poll loop of its owner's.
///
/// Declared threaded to libmosquitto, so that acknowledgements are only queued while reading and go out when the owner calls `write`: not before what
/// the messages caused is stored. Belongs to the thread that made it; not Sendable on purpose.
final class MQTTConnection {
    static let subscriptionIdentifier = Int32(MQTT_PROP_SUBSCRIPTION_IDENTIFIER.rawValue)

    private let configuration: MQTTConfiguration
    private let handle: OpaquePointer
    private let keepsSession: Bool
    private unowned let delegate: any MQTTConnectionDelegate
    /// Why the broker or the library ended the connection; nil while it stands.
    private(set) var endReason: String?
    /// The library's last error line: TLS failures are told only there.
    private var lastErrorLine: String?
    private var duplicatePrefix: [UInt8]
    private var sawDuplicateFlag = false
    /// Whether the broker takes subscription identifiers (MQTT 5 §3.2.2.3.12).
    private(set) var takesSubscriptionIdentifiers = false

    private static let initialized: Bool = mosquitto_lib_init() == MOSQ_ERR_SUCCESS.rawValue

    /// Nil when libmosquitto cannot make a client (no memory).
    init?(_ configuration: MQTTConfiguration, clientID: String, keepsSession: Bool, delegate: any MQTTConnectionDelegate) {
        guard Self.initialized, let handle = mosquitto_new(clientID, !keepsSession, nil) else { return nil }
        self.configuration = configuration
        self.handle = handle
        self.keepsSession = keepsSession
        self.delegate = delegate
        // What libmosquitto logs of every PUBLISH; it tells DUP nowhere else.
        duplicatePrefix = Array("Client \(clientID) received PUBLISH (d".utf8)
        mosquitto_user_data_set(handle, Unmanaged.passUnretained(self).toOpaque())
        mosquitto_threaded_set(handle, true)
        mosquitto_int_option(
            handle, MOSQ_OPT_PROTOCOL_VERSION, configuration.version == .v5 ? MQTT_PROTOCOL_V5 : MQTT_PROTOCOL_V311)
        mosquitto_int_option(handle, MOSQ_OPT_TCP_NODELAY, 1)
        mosquitto_int_option(handle, MOSQ_OPT_RECEIVE_MAXIMUM, 65_535)
        mosquitto_int_option(handle, MOSQ_OPT_SEND_MAXIMUM, 65_535)
        setCallbacks()
    }

    deinit { mosquitto_destroy(handle) }

    private func setCallbacks() {
        mosquitto_connect_v5_callback_set(handle) { _, context, code, flags, properties in
            MQTTConnection.from(context)?.accepted(code: code, flags: flags, properties: properties)
        }
        mosquitto_disconnect_v5_callback_set(handle) { _, context, code, _ in
            MQTTConnection.from(context)?.ended(code)
        }
        mosquitto_message_v5_callback_set(handle) { _, context, message, properties in
            guard let context, let message else { return }
            Unmanaged<MQTTConnection>.fromOpaque(context)._withUnsafeGuaranteedRef { $0.received(message.pointee, properties) }
            // The read loop takes EAGAIN for "nothing left"; queueing the acknowledgement may have left it behind.
            errno = 0
        }
        mosquitto_subscribe_v5_callback_set(handle) { _, context, packetID, count, granted, _ in
            guard let connection = MQTTConnection.from(context) else { return }
            let code = count > 0 ? granted?.pointee ?? 0x80 : 0x80
            // 0x80 is all that 3.1.1 says; MQTT 5 has a reason for each code from there on.
            connection.delegate.subscribeAcknowledged(packetID: packetID, refusal: code >= 0x80 ? connection.reasonText(code) : nil)
        }
        mosquitto_unsubscribe_v5_callback_set(handle) { _, context, packetID, _ in
            MQTTConnection.from(context)?.delegate.unsubscribeAcknowledged(packetID: packetID)
        }
        mosquitto_publish_v5_callback_set(handle) { _, context, packetID, code, _ in
            guard let connection = MQTTConnection.from(context) else { return }
            connection.delegate.publishAcknowledged(packetID: packetID, refusal: code >= 0x80 ? connection.reasonText(code) : nil)
        }
    }

    private static func from(_ context: UnsafeMutableRawPointer?) -> MQTTConnection? {
        context.map { Unmanaged<MQTTConnection>.fromOpaque($0).takeUnretainedValue() }
    }

    // MARK: Connecting

    /// Opens the socket and queues CONNECT; nil, or why not. May block for as long as a TCP connect: `TCPProbe` comes first.
    func connect() -> String? {
        endReason = nil
        lastErrorLine = nil
        observesDuplicates = true
        if let reason = applyCredentials() { return reason }
        var properties: OpaquePointer?
        defer { mosquitto_property_free_all(&properties) }
        if configuration.version == .v5, keepsSession {
            mosquitto_property_add_int32(
                &properties, Int32(MQTT_PROP_SESSION_EXPIRY_INTERVAL.rawValue),
                UInt32(clamping: configuration.sessionExpiry.components.seconds))
        }
        let code = mosquitto_connect_bind_v5(
            handle, configuration.host, Int32(configuration.port), Int32(clamping: configuration.keepAlive.components.seconds), nil,
            properties)
        return code == MOSQ_ERR_SUCCESS.rawValue ? nil : text(code)
    }

    private func applyCredentials() -> String? {
        if let username = configuration.username {
            let code = mosquitto_username_pw_set(handle, username, configuration.password)
            guard code == MOSQ_ERR_SUCCESS.rawValue else { return text(code) }
        }
        if configuration.usesTLS {
            let folder = configuration.caFile == nil ? "/etc/ssl/certs" : nil
            // Without a callback OpenSSL would ask the terminal for the passphrase of an encrypted key.
            let code = mosquitto_tls_set(handle, configuration.caFile, folder, configuration.certFile, configuration.keyFile) {
                _, _, _, _ in 0
            }
            guard code == MOSQ_ERR_SUCCESS.rawValue else { return "the TLS files cannot be used: \(text(code))" }
        }
        return nil
    }

    private func accepted(code: Int32, flags: Int32, properties: OpaquePointer?) {
        guard code == 0 else {
            let reason = configuration.version == .v5 ? reasonText(code) : String(cString: mosquitto_connack_string(code))
            endReason = "the broker refused the connection: \(reason)"
            return
        }
        var available: UInt8 = 1
        _ = mosquitto_property_read_byte(properties, Int32(MQTT_PROP_SUBSCRIPTION_ID_AVAILABLE.rawValue), &available, false)
        takesSubscriptionIdentifiers = configuration.version == .v5 && available == 1
        delegate.connectionAccepted(sessionPresent: flags & 1 == 1)
    }

    private func ended(_ code: Int32) {
        if endReason == nil { endReason = code >= 0x80 ? "the broker ended the connection: \(reasonText(code))" : text(code) }
    }

    // MARK: Driving

    /// -1 when there is none.
    var descriptor: Int32 { mosquitto_socket(handle) }
    var isOpen: Bool { endReason == nil && descriptor >= 0 }
    var wantsWrite: Bool { mosquitto_want_write(handle) }

    /// Reads packets until the socket is empty or `isFull` says so; whether it was emptied. Look at `isOpen` afterwards.
    func read(until isFull: () -> Bool) -> Bool {
        while !isFull() {
            errno = 0
            let code = mosquitto_loop_read(handle, 1)
            let drained = errno == EAGAIN
            guard code == MOSQ_ERR_SUCCESS.rawValue, isOpen else {
                lost(code)
                return true
            }
            // EAGAIN may also stem from the library's own wake-up pipe, which nobody reads here; the socket has the last word.
            if drained, !isReadable { return true }
        }
        return false
    }

    private var isReadable: Bool {
        var polled = pollfd(fd: descriptor, events: Int16(POLLIN), revents: 0)
        return poll(&polled, 1, 0) > 0
    }

    /// Writes what is queued, as far as the socket takes it.
    func write() {
        guard isOpen, wantsWrite else { return }
        let code = mosquitto_loop_write(handle, 1)
        if code != MOSQ_ERR_SUCCESS.rawValue || !isOpen { lost(code) }
    }

    /// Writes all that is queued, waiting for the socket at most so long; whether it is all out.
    @discardableResult
    func flush(within limit: Duration) -> Bool {
        let deadline = ContinuousClock.now + limit
        while isOpen {
            write()
            guard isOpen, wantsWrite else { break }
            let left = deadline - .now
            guard left > .zero else { return false }
            var polled = pollfd(fd: descriptor, events: Int16(POLLOUT), revents: 0)
            _ = poll(&polled, 1, left.pollTimeout)
        }
        return isOpen
    }

    /// Acknowledges what was received to the broker's TCP now: with Nagle's algorithm it holds the next small message back until then, and the kernel may take 40 ms.
    func acknowledgeReceipt() {
        var on: Int32 = 1
        setsockopt(descriptor, Int32(IPPROTO_TCP), TCP_QUICKACK, &on, socklen_t(MemoryLayout<Int32>.size))
    }

    /// Keep-alive. To be called at least every second or so.
    func upkeep() {
        guard isOpen else { return }
        let code = mosquitto_loop_misc(handle)
        if code != MOSQ_ERR_SUCCESS.rawValue || !isOpen { lost(code) }
    }

    private func lost(_ code: Int32) {
        if endReason == nil { endReason = text(code) }
    }

    // MARK: Packets

    func subscribe(to filter: String, qos: UInt8, identifier: UInt32?) -> Result<Int32, PacketFailure> {
        var properties: OpaquePointer?
        defer { mosquitto_property_free_all(&properties) }
        if let identifier, takesSubscriptionIdentifiers {
            mosquitto_property_add_varint(&properties, Self.subscriptionIdentifier, identifier)
        }
        var packetID: Int32 = 0
        return result(mosquitto_subscribe_v5(handle, &packetID, filter, Int32(qos), 0, properties), packetID)
    }

    func unsubscribe(from filter: String) -> Result<Int32, PacketFailure> {
        var packetID: Int32 = 0
        return result(mosquitto_unsubscribe_v5(handle, &packetID, filter, nil), packetID)
    }

    func publish(
        topic: String, payload: [UInt8], qos: UInt8, retain: Bool, userProperties: [(String, String)]
    ) -> Result<Int32, PacketFailure> {
        var properties: OpaquePointer?
        defer { mosquitto_property_free_all(&properties) }
        if configuration.version == .v5 {
            for (name, value) in userProperties {
                mosquitto_property_add_string_pair(&properties, Int32(MQTT_PROP_USER_PROPERTY.rawValue), name, value)
            }
        }
        var packetID: Int32 = 0
        let code = payload.withUnsafeBytes {
            mosquitto_publish_v5(handle, &packetID, topic, Int32(clamping: $0.count), $0.baseAddress, Int32(qos), retain, properties)
        }
        return result(code, packetID)
    }

    struct PacketFailure: Error {
        var reason: String
        /// The packet cannot be sent on any connection.
        var isFinal: Bool
    }

    private func result(_ code: Int32, _ packetID: Int32) -> Result<Int32, PacketFailure> {
        guard code != MOSQ_ERR_SUCCESS.rawValue else { return .success(packetID) }
        let temporary = [MOSQ_ERR_NO_CONN, MOSQ_ERR_CONN_LOST, MOSQ_ERR_NOMEM, MOSQ_ERR_ERRNO].contains { $0.rawValue == code }
        return .failure(PacketFailure(reason: text(code), isFinal: !temporary))
    }

    // MARK: Ending

    /// Takes the broker's acknowledgements to the end: writes what is queued, says goodbye, and reads the socket empty until the broker has closed it. Closing
    /// with unread data would reset the connection and take acknowledgements back that were on their way.
    func disconnect(within limit: Duration) {
        let deadline = ContinuousClock.now + limit
        guard flush(within: limit) else { return abort() }
        // libmosquitto closes its descriptor as soon as DISCONNECT is written; this one keeps the connection.
        let kept = dup(descriptor)
        guard kept >= 0 else { return abort() }
        defer { close(kept) }
        mosquitto_disconnect_v5(handle, 0, nil)
        flush(within: deadline - .now)
        endReason = endReason ?? "disconnected"
        shutdown(kept, Int32(SHUT_WR))
        withUnsafeTemporaryAllocation(byteCount: 65_536, alignment: 1) { buffer in
            while true {
                let left = deadline - .now
                var polled = pollfd(fd: kept, events: Int16(POLLIN), revents: 0)
                guard left > .zero, poll(&polled, 1, left.pollTimeout) > 0 else { return }
                let count = Glibc.read(kept, buffer.baseAddress, buffer.count)
                guard count > 0 || (count < 0 && (errno == EAGAIN || errno == EINTR)) else { return }
            }
        }
    }

    /// Ends the connection without sending what is queued: what was received stays unacknowledged and comes again.
    func abort() {
        let socket = descriptor
        // Not closed: libmosquitto does that at the next connect, and drops what is queued there.
        if socket >= 0 { shutdown(socket, Int32(SHUT_RDWR)) }
        endReason = endReason ?? "ended on purpose"
    }

    // MARK: Messages

    private func received(_ message: mosquitto_message, _ properties: OpaquePointer?) {
        guard let topic = message.topic else { return }
        let duplicate = sawDuplicateFlag
        sawDuplicateFlag = false
        delegate.received(
            IncomingMessage(
                topic: topic, topicBytes: UnsafeRawBufferPointer(start: topic, count: strlen(topic)),
                payload: UnsafeRawBufferPointer(
                    start: message.payload, count: message.payload == nil ? 0 : Int(max(0, message.payloadlen))),
                packetID: UInt16(truncatingIfNeeded: message.mid), qos: UInt8(truncatingIfNeeded: message.qos), isRetained: message.retain,
                // Of QoS 2 the flag belongs to an earlier packet than the one that brought the message here.
                isDuplicate: duplicate && message.qos == 1, properties: properties))
    }

    /// Whether DUP is read off libmosquitto's log, at the price of one formatted line a packet. Brokers send again only at the beginning
    /// of a connection; afterwards this can be switched off.
    var observesDuplicates = false {
        didSet {
            guard observesDuplicates != oldValue else { return }
            sawDuplicateFlag = false
            if observesDuplicates {
                mosquitto_log_callback_set(handle) { _, context, level, line in
                    guard let context, let line else { return }
                    Unmanaged<MQTTConnection>.fromOpaque(context)._withUnsafeGuaranteedRef { $0.logged(level, line) }
                }
            } else {
                mosquitto_log_callback_set(handle, nil)
            }
        }
    }

    private func logged(_ level: Int32, _ line: UnsafePointer<CChar>) {
        if level == MOSQ_LOG_DEBUG {
            let matches = duplicatePrefix.withUnsafeBufferPointer {
                strncmp(line, UnsafeRawPointer($0.baseAddress!).assumingMemoryBound(to: CChar.self), $0.count) == 0  // never empty
            }
            // The prefix matched without a zero byte, so the line has at least this one more.
            if matches { sawDuplicateFlag = line[duplicatePrefix.count] == CChar(bitPattern: UInt8(ascii: "1")) }
        } else if level == MOSQ_LOG_ERR {
            lastErrorLine = String(cString: line)
        }
    }

    // MARK: Texts

    private func text(_ code: Int32) -> String {
        let text = String(cString: mosquitto_strerror(code))
        return lastErrorLine.map { "\(text) (\($0))" } ?? text
    }

    private func reasonText(_ code: Int32) -> String {
        configuration.version == .v5 ? String(cString: mosquitto_reason_string(code)) : "no reason given"
    }
}
