import Foundation
import MQTTTelemetry
import RuleEngine
import Testing

/// Against the Mosquitto of `scripts/services`.
@Suite struct MQTTTelemetryTests {
    static let versions = MQTTConfiguration.Version.allCases
    static let qualities: [(MQTTConfiguration.Version, UInt8)] = versions.flatMap { version in [0, 1, 2].map { (version, $0) } }

    @Test(arguments: qualities)
    func `messages of every QoS arrive in order with topic and payload`(version: MQTTConfiguration.Version, qos: UInt8) async throws {
        let root = uniqueName("t")
        let configuration = try configuration(version)
        let source = MQTTTelemetrySource(configuration, logger: quiet)
        let sink = RecordingSink()
        await source.subscribe(to: [.init(filter: "\(root)/+", qos: qos)], leftovers: [])
        try await withSource(source, sink) {
            try await sink.live()
            #expect(await source.unreadyReason() == nil)
            try await withPublisher(configuration) { publisher in
                for number in 0..<50 { try await publisher.send("\(root)/d\(number % 3)", "value \(number)", qos: qos) }
            }
            // At most QoS 1: see MQTTTelemetrySource.
            #expect(
                try await sink.taken(50)
                    == (0..<50).map { Seen(topic: "\(root)/d\($0 % 3)", payload: "value \($0)", qos: min(qos, 1), isRetained: false) })
        }
        #expect(source.counters.messages == 50)
        #expect(source.counters.copiesDropped == 0)
    }

    @Test(arguments: versions)
    func `what the sink could not take comes again in a new connection`(version: MQTTConfiguration.Version) async throws {
        let root = uniqueName("t")
        let configuration = try configuration(version)
        let source = MQTTTelemetrySource(configuration, logger: quiet)
        let attempts = Watched(0)
        let sink = RecordingSink { _ in
            attempts.change {
                $0 += 1; return $0 > 1
            }
        }
        await source.subscribe(to: [.init(filter: root, qos: 1)], leftovers: [])
        try await withSource(source, sink) {
            try await sink.live()
            try await withPublisher(configuration) { try await $0.send(root, "once") }
            #expect(try await sink.taken(1).map(\.payload) == ["once"])
            let message = Seen(topic: root, payload: "once", qos: 1, isRetained: false)
            try await sink.live(2)
            #expect(
                sink.events.value
                    == [.connected, .backlogEnded, .refused(message), .disconnected, .connected, .took(message), .backlogEnded])
        }
        #expect(source.counters.batchesRefused == 1)
        #expect(source.counters.redeliveriesDropped == 0)
    }

    @Test(arguments: versions)
    func `what was acknowledged does not come again after a clean stop`(version: MQTTConfiguration.Version) async throws {
        let root = uniqueName("t")
        let configuration = try configuration(version)
        let first = MQTTTelemetrySource(configuration, logger: quiet)
        let seen = RecordingSink()
        await first.subscribe(to: [.init(filter: root, qos: 1)], leftovers: [])
        try await withSource(first, seen) {
            try await seen.live()
            try await withPublisher(configuration) { publisher in
                for number in 0..<200 { try await publisher.send(root, "\(number)") }
            }
            _ = try await seen.taken(200)
        }
        let second = MQTTTelemetrySource(configuration, logger: quiet)
        let again = RecordingSink()
        await second.subscribe(to: [.init(filter: root, qos: 1)], leftovers: [])
        try await withSource(second, again) {
            try await again.live()
            try await withPublisher(configuration) { try await $0.send(root, "last") }
            #expect(try await again.taken(1).map(\.payload) == ["last"])
        }
    }

    @Test(arguments: versions)
    func `what came while the server was away comes once, in order, behind connected`(
        version: MQTTConfiguration.Version
    ) async throws {
        let root = uniqueName("t")
        let configuration = try configuration(version)
        let source = MQTTTelemetrySource(configuration, logger: quiet)
        let before = RecordingSink()
        await source.subscribe(to: [.init(filter: root, qos: 1)], leftovers: [])
        try await withSource(source, before) { try await before.live() }
        try await withPublisher(configuration) { publisher in
            for number in 0..<1500 { try await publisher.send(root, "\(number)") }
        }
        let sink = RecordingSink()
        let next = MQTTTelemetrySource(configuration, logger: quiet)
        await next.subscribe(to: [.init(filter: root, qos: 1)], leftovers: [])
        try await withSource(next, sink) {
            try await sink.live()
            #expect(try await sink.taken(1500).map(\.payload) == (0..<1500).map(String.init))
            // It ends when the broker pauses, and that it may do on a busy machine before it has sent all. `MQTTWireTests` has the order.
            let events = sink.events.value
            #expect(events.first == .connected && events.count { $0 == .backlogEnded } == 1)
        }
    }

    @Test(arguments: versions)
    func `a retained message is marked, a live one is not`(version: MQTTConfiguration.Version) async throws {
        let root = uniqueName("t")
        let configuration = try configuration(version)
        let source = MQTTTelemetrySource(configuration, logger: quiet)
        let sink = RecordingSink()
        await source.subscribe(to: [.init(filter: "\(root)/#", qos: 1)], leftovers: [])
        try await withPublisher(configuration) { publisher in
            try await publisher.send("\(root)/a", "kept", retain: true)
            try await withSource(source, sink) {
                try await sink.live()
                try await publisher.send("\(root)/a", "live", retain: true)
                #expect(try await sink.taken(2).map(\.isRetained) == [true, false])
            }
            try await publisher.send("\(root)/a", "", retain: true)
        }
    }

    @Test(arguments: versions)
    func `a message that matches several filters comes once`(version: MQTTConfiguration.Version) async throws {
        let root = uniqueName("t")
        let configuration = try configuration(version)
        let source = MQTTTelemetrySource(configuration, logger: quiet)
        let sink = RecordingSink()
        let filters = ["\(root)/+/x", "\(root)/a/+", "\(root)/a/#"]
        await source.subscribe(to: filters.map { .init(filter: $0, qos: 1) }, leftovers: [])
        try await withPublisher(configuration) { publisher in
            try await publisher.send("\(root)/a/x", "kept", retain: true)
            try await withSource(source, sink) {
                try await sink.live()
                // The same content twice is two messages.
                let sent = ["one", "two", "two", "three"]
                for payload in sent { try await publisher.send("\(root)/a/x", payload) }
                try await publisher.send("\(root)/b/x", "single")
                try await publisher.send("\(root)/a/x", "end", qos: 0)
                _ = try await sink.events.first("the last message") { events in
                    RecordingSink.taken(events).contains { $0.payload == "end" } ? true : nil
                }
                #expect(sink.taken.map(\.payload) == ["kept"] + sent + ["single", "end"])
            }
            try await publisher.send("\(root)/a/x", "", retain: true)
        }
        #expect(source.counters.copiesDropped > 0)
    }

    @Test(arguments: versions)
    func `two members of a share group get each message once between them`(version: MQTTConfiguration.Version) async throws {
        let root = uniqueName("t")
        let group = uniqueName("g")
        let sources = try (0..<2).map { _ in MQTTTelemetrySource(try configuration(version, shareGroup: group), logger: quiet) }
        let count = Watched(0)
        let sinks = (0..<2).map { _ in
            RecordingSink { messages in
                count.change { $0 += messages.count }
                return true
            }
        }
        for source in sources { await source.subscribe(to: [.init(filter: "\(root)/#", qos: 1)], leftovers: []) }
        let outsider = try configuration(version)
        try await withSource(sources[0], sinks[0]) {
            try await withSource(sources[1], sinks[1]) {
                for sink in sinks { try await sink.live() }
                try await withPublisher(outsider) { publisher in
                    for number in 0..<100 { try await publisher.send("\(root)/x", "\(number)") }
                }
                for sink in sinks { _ = try await sink.taken(1) }
                try await count.first("all messages") { $0 >= 100 ? true : nil }
            }
        }
        let all = (sinks[0].taken + sinks[1].taken).compactMap { Int($0.payload) }
        #expect(all.sorted() == Array(0..<100))
    }

    @Test(arguments: versions)
    func `a changed set of filters holds from then on`(version: MQTTConfiguration.Version) async throws {
        let root = uniqueName("t")
        let configuration = try configuration(version)
        let source = MQTTTelemetrySource(configuration, logger: quiet)
        let sink = RecordingSink()
        await source.subscribe(to: [.init(filter: "\(root)/old", qos: 1), .init(filter: "\(root)/kept", qos: 1)], leftovers: [])
        try await withSource(source, sink) {
            try await sink.live()
            try await withPublisher(configuration) { publisher in
                await source.subscribe(to: [.init(filter: "\(root)/new", qos: 1), .init(filter: "\(root)/kept", qos: 1)], leftovers: [])
                // The broker's answer shows only in what arrives.
                var sent = 0
                while sink.taken.isEmpty {
                    sent += 1
                    try await publisher.send("\(root)/new", "\(sent)")
                }
                try await publisher.send("\(root)/old", "not wanted")
                try await publisher.send("\(root)/kept", "end")
                try await sink.events.first("the last message") { RecordingSink.taken($0).contains { $0.payload == "end" } ? true : nil }
                #expect(!sink.taken.contains { $0.topic == "\(root)/old" })
                #expect(await source.unreadyReason() == nil)
            }
        }
    }

    @Test(arguments: versions)
    func `subscriptions left over from an earlier run are given up`(version: MQTTConfiguration.Version) async throws {
        let root = uniqueName("t")
        let configuration = try configuration(version)
        let earlier = MQTTTelemetrySource(configuration, logger: quiet)
        let first = RecordingSink()
        await earlier.subscribe(to: [.init(filter: "\(root)/old", qos: 1)], leftovers: [])
        try await withSource(earlier, first) { try await first.live() }

        let source = MQTTTelemetrySource(configuration, logger: quiet)
        let sink = RecordingSink()
        await source.subscribe(to: [.init(filter: "\(root)/new", qos: 1)], leftovers: ["\(root)/old", "\(root)/new"])
        try await withSource(source, sink) {
            try await sink.live()
            try await withPublisher(configuration) { publisher in
                try await publisher.send("\(root)/old", "not wanted")
                try await publisher.send("\(root)/new", "wanted")
            }
            #expect(try await sink.taken(1).map(\.payload) == ["wanted"])
        }
    }

    @Test func `the last will of a device is a message like any other`() async throws {
        let root = uniqueName("t")
        let configuration = try configuration()
        let source = MQTTTelemetrySource(configuration, logger: quiet)
        let sink = RecordingSink()
        await source.subscribe(to: [.init(filter: "\(root)/+", qos: 1)], leftovers: [])
        let port = configuration.port
        try await withSource(source, sink) {
            try await sink.live()
            try await onThread {
                let device = try WireConnection(port: port)
                // Clean session, will with QoS 1.
                let fields = WirePacket.string("MQTT") + [4, 0b0000_1110] + WirePacket.word(60)
                let texts = ["", "\(root)/status", "offline"].flatMap(WirePacket.string)
                try device.send(WirePacket(.connect, fields + texts))
                _ = try device.receive(.connack)
                device.abort()
            }
            #expect(try await sink.taken(1) == [Seen(topic: "\(root)/status", payload: "offline", qos: 1, isRetained: false)])
        }
    }

    @Test(arguments: versions)
    func `a wrong password is told in the reason for not being ready, without the password`(
        version: MQTTConfiguration.Version
    ) async throws {
        let url = try environment("NODESPHERE_MQTT_URL")
        let user = try environment("NODESPHERE_TEST_MQTT_USERNAME")
        let password = try environment("NODESPHERE_TEST_MQTT_PASSWORD")
        func source(_ password: String) throws -> MQTTTelemetrySource {
            let configuration = try MQTTConfiguration(
                url: url, username: user, password: password, clientID: uniqueName("test"), version: version.rawValue)
            return MQTTTelemetrySource(configuration, logger: quiet)
        }
        let right = try source(password)
        let sink = RecordingSink()
        await right.subscribe(to: [], leftovers: [])
        try await withSource(right, sink) { try await sink.live() }

        let wrong = try source("wrong-secret")
        await wrong.subscribe(to: [], leftovers: [])
        try await withSource(wrong, RecordingSink()) {
            let reason = try await unreadyReason(wrong) { $0.contains("refused the connection") }
            #expect(reason.lowercased().contains("not authori"))
            #expect(!reason.contains("wrong-secret"))
        }
    }
}

/// Waits until a source gives such a reason.
func unreadyReason(_ source: MQTTTelemetrySource, _ matches: (String) -> Bool) async throws -> String {
    let deadline = ContinuousClock.now + patience
    while ContinuousClock.now < deadline {
        if let reason = await source.unreadyReason(), matches(reason) { return reason }
        await Task.yield()
    }
    throw TimedOut(description: "no such reason; last: \(await source.unreadyReason() ?? "none")")
}
