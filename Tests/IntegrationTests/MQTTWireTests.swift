import MQTTTelemetry
import RuleEngine
import Testing

/// What goes over the wire, against a broker that follows a script.
@Suite struct MQTTWireTests {
    private func source(_ broker: ScriptedBroker) throws -> MQTTTelemetrySource {
        MQTTTelemetrySource(try configuration(.v311, url: "mqtt://127.0.0.1:\(broker.port)", clientID: "wire"), logger: quiet)
    }

    private static func grant(_ connection: WireConnection, code: UInt8 = 1) throws -> WirePacket {
        let request = try connection.receive(.subscribe)
        try connection.send(WirePacket(.suback, WirePacket.word(request.packetID) + [code]))
        return request
    }

    private static func filter(_ packet: WirePacket) -> String {
        guard packet.body.count > 4 else { return "" }
        let length = Int(packet.body[2]) << 8 | Int(packet.body[3])
        return String(decoding: packet.body.dropFirst(4).prefix(length), as: UTF8.self)
    }

    @Test func `no acknowledgement goes out before the sink has taken the batch`() async throws {
        let broker = ScriptedBroker()
        let source = try source(broker)
        let isReleased = Watched(false)
        let isHeld = Watched(false)
        let sink = RecordingSink { _ in
            isHeld.change { $0 = true }
            while !isReleased.value {}  // as a slow store would
            return true
        }
        await source.subscribe(to: [.init(filter: "t", qos: 1)], leftovers: [])
        try await withSource(source, sink) {
            let connection = try await onThread {
                let connection = try broker.accept(sessionPresent: false)
                _ = try Self.grant(connection)
                for packetID in 1...3 {
                    try connection.send(.publish("t", "\(packetID)", qos: 1, packetID: UInt16(packetID)))
                }
                return connection
            }
            try await isHeld.first("a batch") { $0 ? true : nil }
            #expect(try await onThread { connection.isSilent })
            isReleased.change { $0 = true }
            let acknowledged = try await onThread { try (1...3).map { _ in try connection.receive(.puback).packetID } }
            #expect(acknowledged == [1, 2, 3])
            #expect(try await sink.taken(3).map(\.payload) == ["1", "2", "3"])
        }
    }

    @Test func `what is sent again after its acknowledgement was lost is acknowledged and not given again`() async throws {
        let broker = ScriptedBroker()
        let source = try source(broker)
        let sink = RecordingSink()
        await source.subscribe(to: [.init(filter: "t", qos: 1)], leftovers: [])
        try await withSource(source, sink) {
            let acknowledged = try await onThread {
                var connection = try broker.accept(sessionPresent: false)
                _ = try Self.grant(connection)
                try connection.send(.publish("t", "first", qos: 1, packetID: 7))
                _ = try connection.receive(.puback)
                connection.abort()

                connection = try broker.accept(sessionPresent: true)
                try connection.send(.publish("t", "first", qos: 1, packetID: 7, duplicate: true))
                // Another message under a DUP that is not known, and one of the same content that is new.
                try connection.send(.publish("t", "second", qos: 1, packetID: 8, duplicate: true))
                try connection.send(.publish("t", "first", qos: 1, packetID: 9))
                return try (0..<3).map { _ in try connection.receive(.puback).packetID }
            }
            #expect(acknowledged == [7, 8, 9])
            #expect(try await sink.taken(3).map(\.payload) == ["first", "second", "first"])
        }
        #expect(source.counters.redeliveriesDropped == 1)
        #expect(source.counters.reconnects == 1)
    }

    @Test func `what is sent again after the sink could not take it is given again`() async throws {
        let broker = ScriptedBroker()
        let source = try source(broker)
        let attempts = Watched(0)
        let sink = RecordingSink { _ in
            attempts.change {
                $0 += 1; return $0 > 1
            }
        }
        await source.subscribe(to: [.init(filter: "t", qos: 1)], leftovers: [])
        try await withSource(source, sink) {
            let acknowledged = try await onThread {
                var connection = try broker.accept(sessionPresent: false)
                _ = try Self.grant(connection)
                try connection.send(.publish("t", "first", qos: 1, packetID: 7))
                guard connection.waitForEnd() else { throw WireFailure(description: "the client did not disconnect") }
                connection = try broker.accept(sessionPresent: true)
                try connection.send(.publish("t", "first", qos: 1, packetID: 7, duplicate: true))
                return try connection.receive(.puback).packetID
            }
            #expect(acknowledged == 7)
            #expect(try await sink.taken(1).map(\.payload) == ["first"])
        }
    }

    @Test func `a session that the broker lost makes its packet ids mean other messages`() async throws {
        let broker = ScriptedBroker()
        let source = try source(broker)
        let sink = RecordingSink()
        await source.subscribe(to: [.init(filter: "t", qos: 1)], leftovers: [])
        try await withSource(source, sink) {
            try await onThread {
                for _ in 0..<2 {
                    let connection = try broker.accept(sessionPresent: false)
                    _ = try Self.grant(connection)
                    try connection.send(.publish("t", "same", qos: 1, packetID: 7, duplicate: true))
                    _ = try connection.receive(.puback)
                    connection.abort()
                }
            }
            #expect(try await sink.taken(2).map(\.payload) == ["same", "same"])
        }
    }

    @Test func `only what changed is subscribed and unsubscribed`() async throws {
        let broker = ScriptedBroker()
        let source = try source(broker)
        let sink = RecordingSink()
        await source.subscribe(
            to: [.init(filter: "b", qos: 1), .init(filter: "a", qos: 2), .init(filter: "c", qos: 0)], leftovers: ["old", "b"])
        try await withSource(source, sink) {
            let (connection, asked) = try await onThread {
                let connection = try broker.accept(sessionPresent: true)
                var asked: [String] = []
                let leftover = try connection.receive(.unsubscribe)
                asked.append("-" + Self.filter(leftover))
                try connection.send(WirePacket(.unsuback, WirePacket.word(leftover.packetID)))
                for _ in 0..<3 {
                    let packet = try Self.grant(connection)
                    asked.append("+\(Self.filter(packet)) \(packet.body.last ?? 255)")
                }
                return (connection, asked)
            }
            // QoS 2 is asked for as QoS 1.
            #expect(asked == ["-old", "+a 1", "+b 1", "+c 0"])
            try await sink.live()

            await source.subscribe(to: [.init(filter: "a", qos: 1), .init(filter: "c", qos: 1), .init(filter: "d", qos: 1)], leftovers: [])
            let change = try await onThread {
                let removed = try connection.receive(.unsubscribe)
                try connection.send(WirePacket(.unsuback, WirePacket.word(removed.packetID)))
                return try ["-" + Self.filter(removed)] + (0..<2).map { _ in "+" + Self.filter(try Self.grant(connection)) }
            }
            #expect(change == ["-b", "+c", "+d"])

            // The session is still there: nothing to ask for. Its first packet is the acknowledgement.
            let next = try await onThread {
                connection.abort()
                let again = try broker.accept(sessionPresent: true)
                try again.send(.publish("a", "x", qos: 1, packetID: 1))
                return try again.receive().kind
            }
            #expect(next == .puback)
        }
    }

    @Test func `a refused subscription makes the source unready and names the filter`() async throws {
        let broker = ScriptedBroker()
        let source = try source(broker)
        let sink = RecordingSink()
        await source.subscribe(to: [.init(filter: "secret/#", qos: 1)], leftovers: [])
        try await withSource(source, sink) {
            let connection = try await onThread {
                let connection = try broker.accept(sessionPresent: false)
                _ = try Self.grant(connection, code: 0x80)
                return connection
            }
            try await sink.live()
            #expect(await source.unreadyReason() == "the broker refused the subscription 'secret/#': no reason given")
            // No longer wanted: no longer a reason.
            await source.subscribe(to: [], leftovers: [])
            while await source.unreadyReason() != nil { await Task.yield() }
            _ = connection
        }
    }

    @Test func `messages that come before the subscriptions are acknowledged are held back, not lost`() async throws {
        let broker = ScriptedBroker()
        let source = try source(broker)
        let sink = RecordingSink()
        await source.subscribe(to: [.init(filter: "t", qos: 1)], leftovers: [])
        try await withSource(source, sink) {
            let connection = try await onThread {
                let connection = try broker.accept(sessionPresent: true)
                try connection.send(.publish("t", "held", qos: 1, packetID: 3))
                _ = try Self.grant(connection)
                _ = try connection.receive(.puback)
                return connection
            }
            try await sink.live()
            let held = Seen(topic: "t", payload: "held", qos: 1, isRetained: false)
            #expect(sink.events.value == [.connected, .took(held), .backlogEnded])
            _ = connection
        }
    }

    @Test func `a stop ends an attempt to connect to a broker that never answers`() async throws {
        let broker = ScriptedBroker()
        let source = try source(broker)
        await source.subscribe(to: [], leftovers: [])
        try await withSource(source, RecordingSink()) {
            try await onThread { _ = try broker.accept() }
        }
        #expect(await source.unreadyReason() == "not running")
    }
}
