@testable import AMQPNotifications
import RuleEngine
import TestSupport
import Testing

/// What somebody else put into one of our queues, and the beginning of the reason it is dead with.
struct HostileMessage: Sendable, CustomStringConvertible {
    var description: String
    var publication: @Sendable (_ queue: String) -> Publication
    var reason: String

    init(_ description: String, id: String? = "x", _ headers: [(String, HeaderValue)], body: [UInt8] = [0xFF, 0], reason: String) {
        self.description = description
        self.reason = reason
        publication = { queue in
            Publication(exchange: "", routingKey: queue, messageID: id, headers: headers.map { (name: $0.0, value: $0.1) }, body: body)
        }
    }

    static let delivery: [(String, HeaderValue)] = [
        ("kind", .text("delivery")), ("receiver", .text("team")), ("status", .text("firing")), ("attempt", .integer(0)),
        ("due-at", .integer(0)),
    ]

    static func delivery(but name: String, _ value: HeaderValue?) -> [(String, HeaderValue)] {
        delivery.filter { $0.0 != name } + (value.map { [(name, $0)] } ?? [])
    }

    static let all = [
        HostileMessage("nothing at all", id: nil, [], body: [], reason: "not readable: no message id"),
        HostileMessage("no headers", [], reason: "not readable: no whole number in the header 'due-at'"),
        HostileMessage("an instant in words", delivery(but: "due-at", .text("soon")), reason: "not readable: no whole number"),
        HostileMessage("a negative attempt", delivery(but: "attempt", .integer(-1)), reason: "not readable: no number of an attempt"),
        HostileMessage("an endless attempt", delivery(but: "attempt", .integer(.max)), reason: "not readable: no number of an attempt"),
        HostileMessage("an unknown kind", delivery(but: "kind", .text("bomb")), reason: "not readable: the header 'kind'"),
        HostileMessage("an empty receiver", delivery(but: "receiver", .text("")), reason: "not readable: no text in the header 'receiver'"),
        HostileMessage("another's receiver", delivery(but: "receiver", .text("other")), reason: "not readable: it is no delivery for"),
        HostileMessage(
            "a wake", [("kind", .text("wake")), ("group-key", .text("g")), ("attempt", .integer(0)), ("due-at", .integer(.min))],
            reason: "not readable: it is no delivery for"),
    ]
}

extension AMQPTests {
    @Test(arguments: HostileMessage.all)
    func `garbage in a channel's queue goes to the dead letters and holds nothing up`(_ hostile: HostileMessage) async throws {
        try await AMQPBench.with { bench in
            let scheduler = bench.scheduler()
            try await scheduler.setReceivers(["team"])
            let publication = hostile.publication(bench.topology.channel("team"))
            try await scheduler.publisher.publish([publication])
            let consumer = ScriptedConsumer(now: AMQPBench.wallClock)
            try await bench.running(scheduler, consumer) {
                try await scheduler.schedule([bench.delivery("good")])
                _ = try await consumer.calls(1, within: patience)
            }
            // Stopped: what had not been carried out has been given back and is read here.
            let again = ScriptedConsumer(now: AMQPBench.wallClock)
            try await bench.running(scheduler, again) {
                try await scheduler.schedule([bench.delivery("good too", at: AMQPBench.wallClock() + 1_000_000_000)])
                _ = try await again.calls(2, within: patience)
            }
            #expect(consumer.calls.map(\.message.id) == ["good"])
            #expect(again.calls.map(\.message.id) == ["good too", "good too"])
            let letters = try await scheduler.deadLetters(limit: 10)
            #expect(letters.count == 1)
            #expect(letters.first?.reason.hasPrefix(hostile.reason) == true, "\(letters)")
            #expect(letters.first?.message.body == publication.body)
        }
    }

    @Test(arguments: [Int64.min, -1, 0, .max])
    func `a due message with any instant is survived`(_ milliseconds: Int64) async throws {
        try await AMQPBench.with { bench in
            let scheduler = bench.scheduler()
            try await scheduler.setReceivers(["team"])
            let headers: [(name: String, value: HeaderValue)] = [
                ("kind", .text("wake")), ("group-key", .text("g")), ("attempt", .integer(0)), ("due-at", .integer(milliseconds)),
            ]
            let garbage = Publication(exchange: "", routingKey: bench.topology.due, messageID: "bad", body: [])
            let wake = Publication(exchange: "", routingKey: bench.topology.due, messageID: "odd", headers: headers, body: [])
            try await scheduler.publisher.publish([garbage, wake])
            let consumer = ScriptedConsumer(now: AMQPBench.wallClock)
            try await bench.running(scheduler, consumer) {
                try await scheduler.schedule([bench.delivery("mark", at: AMQPBench.wallClock() + 1_200_000_000)])
                _ = try await consumer.calls(within: patience, awaiting: "the mark") { $0.contains { $0.message.id == "mark" } }
            }
            // The far one is back in the levels, the others are due at once.
            #expect(consumer.calls.contains { $0.message.id == "odd" } == (milliseconds < .max))
            #expect(try await scheduler.deadLetters(limit: 10).map(\.message.id) == ["bad"])
        }
    }
}
