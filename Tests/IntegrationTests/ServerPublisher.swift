import Foundation
import RuleEngine

/// An MQTT 3.1.1 client that publishes, each call waiting for the broker's acknowledgements.
struct DevicePublisher: Sendable {
    struct Message: Sendable {
        var topic: String
        var payload: [UInt8]
        init(_ topic: String, _ payload: String) {
            self.topic = topic
            self.payload = Array(payload.utf8)
        }
        init(_ topic: String, bytes: [UInt8]) {
            self.topic = topic
            payload = bytes
        }
    }

    let port: UInt16

    init(port: UInt16) { self.port = port }

    init(url: String) throws {
        guard let port = URLComponents(string: url)?.port.flatMap({ UInt16(exactly: $0) }) else {
            throw MissingEnvironment(name: "NODESPHERE_MQTT_URL")
        }
        self.port = port
    }

    func send(_ topic: String, _ payload: String, qos: UInt8 = 1, retain: Bool = false) async throws {
        try await send([Message(topic, payload)], qos: qos, retain: retain)
    }

    func send(_ messages: [Message], qos: UInt8 = 1, retain: Bool = false) async throws {
        let port = port
        try await onThread {
            let connection = try Self.connect(port)
            for chunk in stride(from: 0, to: messages.count, by: 10) {
                let part = messages[chunk..<min(chunk + 10, messages.count)]
                for (offset, message) in part.enumerated() {
                    let id = qos > 0 ? WirePacket.word(UInt16(truncatingIfNeeded: (chunk + offset) % 65_000 + 1)) : []
                    try connection.send(
                        WirePacket(.publish, flags: qos << 1 | (retain ? 1 : 0), WirePacket.string(message.topic) + id + message.payload))
                }
                if qos > 0 { try Self.acknowledged(part.count, qos: qos, connection) }
            }
            // With QoS 0 nothing says that the broker has it but that it has read as far as what comes after.
            try connection.send(WirePacket(.pingreq, []))
            _ = try connection.receive(.pingresp)
            try connection.send(WirePacket(.disconnect, []))
        }
    }

    /// Connects with a last will and is lost: the broker publishes the will.
    func die(will topic: String, _ payload: String) async throws {
        let port = port
        try await onThread { try Self.connect(port, will: (topic, payload)).abort() }
    }

    private static func connect(_ port: UInt16, will: (topic: String, payload: String)? = nil) throws -> WireConnection {
        let connection = try WireConnection(port: port)
        let flags: UInt8 = will == nil ? 0b10 : 0b1110
        let last = will.map { WirePacket.string($0.topic) + WirePacket.string($0.payload) } ?? []
        try connection.send(
            WirePacket(
                .connect, WirePacket.string("MQTT") + [4, flags] + WirePacket.word(60) + WirePacket.string(uniqueName("device")) + last))
        let answer = try connection.receive(.connack)
        guard answer.body.last == 0 else { throw WireFailure(description: "CONNECT was refused: \(answer)") }
        return connection
    }

    private static func acknowledged(_ count: Int, qos: UInt8, _ connection: WireConnection) throws {
        var left = count
        while left > 0 {
            let packet = try connection.receive()
            switch packet.kind {
            case .pubrec: try connection.send(WirePacket(.pubrel, flags: 2, WirePacket.word(packet.packetID)))
            case .puback where qos == 1, .pubcomp where qos == 2: left -= 1
            default: throw WireFailure(description: "unexpected \(packet)")
            }
        }
    }
}
