@testable import AMQPNotifications
import RuleEngine
import Synchronization
import TestSupport
import Testing

extension AMQPTests {
    @Test func `delays of whole seconds are kept to well under a second, and never cut short`() async throws {
        try await AMQPBench.with { bench in
            let scheduler = bench.scheduler()
            let consumer = ScriptedConsumer(now: AMQPBench.wallClock)
            try await bench.running(scheduler, consumer) {
                // Beforehand, since the delays begin below.
                try await scheduler.setReceivers(["team"])
                let start = AMQPBench.wallClock()
                let messages = (0..<150).map { index in
                    ScheduledMessage(id: "\(index)", kind: .wake(groupKey: "g"), dueAt: start + Int64(1 + index % 3) * 1_000_000_000)
                }
                try await scheduler.schedule(messages)
                let calls = try await consumer.calls(messages.count, within: patience)
                let lateness = calls.map { $0.at - $0.message.dueAt }
                #expect(lateness.allSatisfy { $0 >= 0 }, "\(lateness.min() ?? 0) ns")
                // Of three instants one or the other may fall into a moment in which the machine has other work.
                let typical = lateness.sorted()[lateness.count / 2]
                #expect(typical < 900_000_000, "\(typical) ns, at most \(lateness.max() ?? 0) ns")
            }
        }
    }

    @Test func `five thousand messages over many queues are all confirmed and all come`() async throws {
        try await AMQPBench.with { bench in
            let scheduler = bench.scheduler()
            let receivers = Array(AMQPBench.receivers.prefix(6))
            try await scheduler.setReceivers(receivers)
            let messages = (0..<5000).map { index in
                // Queues of receivers and of three delay levels, so that confirms come from many.
                index % 7 == 6
                    ? ScheduledMessage(
                        id: "\(index)", kind: .wake(groupKey: "g"), dueAt: AMQPBench.wallClock() + Int64(index % 5) * 1_000_000_000)
                    : bench.delivery("\(index)", to: receivers[index % 7], body: Array("\(index)".utf8))
            }
            let consumer = ScriptedConsumer(now: AMQPBench.wallClock)
            try await bench.running(scheduler, consumer) {
                try await withThrowingTaskGroup(of: Void.self) { group in
                    for start in stride(from: 0, to: messages.count, by: 250) {
                        group.addTask { try await scheduler.schedule(Array(messages[start..<start + 250])) }
                    }
                    try await group.waitForAll()
                }
                #expect(scheduler.publisher.state.withLock { $0.waitingCount } == 0)
                let calls = try await consumer.calls(messages.count, within: patience)
                #expect(Set(calls.map(\.message.id)) == Set(messages.map(\.id)))
            }
        }
    }

    @Test func `two prefixes do not meet`() async throws {
        try await AMQPBench.with { left in
            try await AMQPBench.with { right in
                let (leftScheduler, rightScheduler) = (left.scheduler(), right.scheduler())
                try await leftScheduler.setReceivers(["team"])
                try await rightScheduler.setReceivers(["team"])
                let consumer = ScriptedConsumer(now: AMQPBench.wallClock)
                try await leftScheduler.schedule([left.delivery("left")])
                try await rightScheduler.schedule([
                    right.delivery("right"), right.delivery("right later", at: AMQPBench.wallClock() + 1_000_000_000),
                ])
                try await right.running(rightScheduler, consumer) {
                    let calls = try await consumer.calls(3, within: patience)
                    #expect(Set(calls.map(\.message.id)) == ["right", "right later"])
                }
            }
        }
    }

    @Test func `a delivery that no queue takes is unavailable, and a dead letter when its receiver has gone meanwhile`() async throws {
        try await AMQPBench.with { bench in
            let scheduler = bench.scheduler()
            try await scheduler.setReceivers(["team"])
            await #expect {
                try await scheduler.schedule([bench.delivery("a", to: "nobody"), bench.delivery("b")])
            } throws: { error in
                guard case .unavailable(let reason)? = error as? SchedulerFailure else { return false }
                return reason.contains("no queue is bound") && reason.contains("nobody.critical.firing")
            }
            let consumer = ScriptedConsumer(now: AMQPBench.wallClock)
            try await bench.running(scheduler, consumer) {
                try await scheduler.schedule([
                    bench.delivery("gone", to: "nobody", at: AMQPBench.wallClock() + 1_000_000_000, body: [1, 2]),
                    bench.delivery("c", at: AMQPBench.wallClock() + 2_500_000_000),
                ])
                // "b" is stored although "a" is not; "c" is through twice.
                _ = try await consumer.calls(4, within: patience)
            }
            let letters = try await scheduler.deadLetters(limit: 10)
            #expect(letters.map(\.message.id) == ["gone"])
            #expect(letters.first?.message.body == [1, 2])
            #expect(letters.first?.reason.contains("no queue is bound") == true)
        }
    }

    @Test(arguments: [
        ("an id", String(repeating: "i", count: 256), "team"), ("a receiver", "i", String(repeating: "r", count: 251)),
        ("a receiver's name", "i", ""),
    ])
    func `what does not fit into a message is refused`(_ what: String, _ id: String, _ receiver: String) async throws {
        try await AMQPBench.with { bench in
            let scheduler = bench.scheduler()
            await #expect {
                try await scheduler.schedule([bench.delivery(id, to: receiver)])
            } throws: { if case .refused? = $0 as? SchedulerFailure { true } else { false } }
            let wake = ScheduledMessage(
                id: "w", kind: .wake(groupKey: String(repeating: "g", count: 70_000)), dueAt: AMQPBench.wallClock())
            await #expect {
                try await scheduler.schedule([wake])
            } throws: { if case .refused? = $0 as? SchedulerFailure { true } else { false } }
        }
    }

    @Test func `heartbeats keep an idle connection`() async throws {
        try await AMQPBench.with { bench in
            var configuration = bench.configuration
            configuration.heartbeat = .seconds(1)
            let scheduler = AMQPScheduler(configuration, logger: bench.log.logger, now: AMQPBench.wallClock)
            let consumer = ScriptedConsumer(now: AMQPBench.wallClock)
            try await scheduler.setReceivers(["team"])
            try await bench.running(scheduler, consumer) {
                // The broker gives up after two silent heartbeats.
                try await scheduler.schedule([bench.delivery("after a while", at: AMQPBench.wallClock() + 6_000_000_000)])
                _ = try await consumer.calls(2, within: patience)
                #expect(await scheduler.unreadyReason() == nil)
            }
            #expect(bench.log.lines == [])
        }
    }

    @Test func `events reach whoever binds a queue, and notifications too, under their keys`() async throws {
        try await AMQPBench.with { bench in
            let (topology, scheduler) = (bench.topology, bench.scheduler())
            try await scheduler.setReceivers(["team"])
            let queue = "\(bench.configuration.prefix).mine"
            try await bench.onConnection { connection in
                try connection.declareQueue(queue, [])
                try connection.bind(queue: queue, to: topology.events, key: "alert.Hot%2EBoiler.*")
                try connection.bind(queue: queue, to: topology.notifications, key: "*.critical.firing")
            }
            #expect(scheduler.publishEvent(alertname: "Cold", state: "firing", body: [0]))
            #expect(scheduler.publishEvent(alertname: "Hot.Boiler", state: "firing", body: [1]))
            // One channel: it goes out behind the events, so they have been routed when it is confirmed.
            try await scheduler.schedule([bench.delivery("n", body: [2])])
            let received = try await bench.onConnection { connection in
                var received: [ReceivedMessage] = []
                while let (tag, message) = try connection.get(queue) {
                    received.append(message)
                    try connection.acknowledge(tag)
                }
                try connection.delete(queue: queue)
                return received
            }
            #expect(received.map(\.body) == [[1], [2]])
            #expect(try received.last?.scheduledMessage().id == "n")
        }
    }
}
