import MQTTTelemetry
import RuleEngine
import Testing

@Suite struct MQTTPublisherTests {
    @Test func `user properties go along with MQTT 5`() async throws {
        let configuration = try configuration(.v5)
        let topic = uniqueName("t")
        try await withPublisher(configuration) { publisher in
            try await publisher.send(topic, "on", retain: true, properties: [("intent", "a-1"), ("rule", "Übertemperatur")])
            let packet = try await onThread { try Self.retained(topic, port: configuration.port) }
            for (name, value) in [("intent", "a-1"), ("rule", "Übertemperatur")] {
                // MQTT 5 §3.3.2.3.7: 38, then name and value.
                let property = [38] + WirePacket.string(name) + WirePacket.string(value)
                #expect(packet.body.firstRange(of: property) != nil)
            }
            #expect(packet.body.suffix(2) == Array("on".utf8)[...])
            try await publisher.send(topic, "", retain: true)
        }
    }

    /// The retained message of a topic, as MQTT 5 carries it.
    private static func retained(_ topic: String, port: UInt16) throws -> WirePacket {
        let connection = try WireConnection(port: port)
        try connection.send(WirePacket(.connect, WirePacket.string("MQTT") + [5, 2] + WirePacket.word(60) + [0] + WirePacket.string("")))
        _ = try connection.receive(.connack)
        try connection.send(WirePacket(.subscribe, flags: 2, WirePacket.word(1) + [0] + WirePacket.string(topic) + [0]))
        _ = try connection.receive(.suback)
        return try connection.receive(.publish)
    }

    @Test(arguments: [UInt8(0), 1, 2])
    func `with 3.1.1 properties are left out and the message goes all the same`(qos: UInt8) async throws {
        let configuration = try configuration(.v311)
        let topic = uniqueName("t")
        try await withPublisher(configuration) { publisher in
            try await publisher.send(topic, "on", qos: qos, retain: true, properties: [("intent", "a-1")])
            // A QoS 0 message has only been written when `publish` returns; one after it that is acknowledged has passed it.
            try await publisher.send(uniqueName("t"), "", qos: 1)
            let packet = try await onThread { try Self.retained(topic, port: configuration.port) }
            #expect(packet.body == WirePacket.string(topic) + [0] + Array("on".utf8))
            try await publisher.send(topic, "", retain: true)
        }
    }

    static let impossible: [(String, UInt8, [(String, String)])] = [
        ("", 0, []), ("a/+", 0, []), ("a/#", 1, []), ("a\0b", 1, []), ("a", 3, []), ("a", 1, [("x\0", "y")]),
        (String(repeating: "a", count: 65_536), 1, []),
    ]

    @Test(arguments: impossible.indices)
    func `what MQTT cannot carry is refused`(index: Int) async throws {
        let (topic, qos, properties) = Self.impossible[index]
        let configuration = try configuration()
        try await withPublisher(configuration) { publisher in
            let failure = await #expect(throws: PublishFailure.self) {
                try await publisher.send(topic, "x", qos: qos, properties: properties)
            }
            guard case .refused? = failure else {
                Issue.record("\(String(describing: failure)) instead of refused")
                return
            }
        }
    }

    @Test func `many callers at once all get their answers`() async throws {
        let configuration = try configuration()
        let root = uniqueName("t")
        try await withPublisher(configuration) { publisher in
            let sent = try await withThrowingTaskGroup { group in
                for caller in 0..<50 {
                    group.addTask {
                        for number in 0..<40 { try await publisher.send("\(root)/\(caller)", "\(number)", qos: UInt8(number % 3)) }
                        return 40
                    }
                }
                return try await group.reduce(0, +)
            }
            #expect(sent == 2000)
        }
    }

    @Test func `a connection lost before the answer is told as unavailable`() async throws {
        let broker = ScriptedBroker()
        let configuration = try configuration(.v311, url: "mqtt://127.0.0.1:\(broker.port)")
        try await withPublisher(configuration) { publisher in
            async let scripted: Void = onThread {
                let connection = try broker.accept(sessionPresent: false)
                _ = try connection.receive(.publish)
                connection.abort()
            }
            let failure = await #expect(throws: PublishFailure.self) { try await publisher.send("t", "x", qos: 1) }
            try await scripted
            guard case .unavailable? = failure else {
                Issue.record("\(String(describing: failure)) instead of unavailable")
                return
            }
        }
    }

    @Test func `a publisher that does not run says so at once`() async throws {
        let publisher = MQTTMessagePublisher(try configuration(), logger: quiet)
        let failure = await #expect(throws: PublishFailure.self) { try await publisher.send("t", "x") }
        #expect(failure?.description == "the publisher is not running")
    }
}
