import Foundation
import Logging
import RuleEngine
import Synchronization
import TestSupport
import Testing

@testable import EmbeddedState

@Suite struct EmbeddedSchedulerTests {
    let folder = DataFolder()
    let logger = Logger(label: "test") { _ in SwiftLogNoOpLogHandler() }

    static func now() -> Instant { Instant(nanoseconds: Int64(Date().timeIntervalSince1970 * 1e6) * 1000) }

    func open() async throws -> EmbeddedScheduler { EmbeddedScheduler(try await folder.open(), now: Self.now, logger: logger) }

    @Test(arguments: SchedulerContract.clauses)
    func `the embedded scheduler keeps the contract`(_ clause: SchedulerClause) async throws {
        try await clause.check(SchedulerBench(now: Self.now) { try await open() })
    }

    static func delivery(_ id: String, to receiver: String) -> ScheduledMessage {
        ScheduledMessage(id: id, kind: .delivery(receiver: receiver, severity: nil, status: "firing"), dueAt: now())
    }

    /// Runs a scheduler until `body` is done.
    func running(_ scheduler: EmbeddedScheduler, _ consumer: ScriptedConsumer, _ body: () async throws -> Void) async throws {
        try await withThrowingTaskGroup(of: Void.self) { group in
            group.addTask { await scheduler.run(consumer) }
            try await body()
            group.cancelAll()
            try await group.waitForAll()
        }
    }

    @Test func `a receiver that hangs holds up no other`() async throws {
        let gate = Gate()
        let consumer = ScriptedConsumer(
            now: Self.now,
            deliver: { message in
                if message.id.hasPrefix("slow") { await gate.pass() }
                return .done
            })
        let scheduler = try await open()
        try await scheduler.setReceivers(["slow", "quick"])
        try await running(scheduler, consumer) {
            defer { gate.open() }
            try await scheduler.schedule((0..<100).map { Self.delivery("slow-\($0)", to: "slow") })
            try await scheduler.schedule((0..<100).map { Self.delivery("quick-\($0)", to: "quick") })
            _ = try await consumer.calls(within: patience, awaiting: "the quick ones") {
                $0.count { $0.message.id.hasPrefix("quick") } == 100
            }
            #expect(consumer.calls.count { $0.message.id.hasPrefix("slow") } == 16)
        }
    }

    @Test func `a delivery for a receiver that is not there waits until it is`() async throws {
        let consumer = ScriptedConsumer(now: Self.now)
        let scheduler = try await open()
        try await scheduler.setReceivers(["a"])
        try await running(scheduler, consumer) {
            try await scheduler.schedule([Self.delivery("for b", to: "b"), Self.delivery("for a", to: "a")])
            #expect(try await consumer.calls(1, within: patience).map(\.message.id) == ["for a"])
            try await scheduler.setReceivers(["b"])
            #expect(try await consumer.calls(2, within: patience).map(\.message.id) == ["for a", "for b"])
            try await scheduler.schedule([Self.delivery("for a again", to: "a"), Self.delivery("for b again", to: "b")])
            #expect(try await consumer.calls(3, within: patience).map(\.message.id) == ["for a", "for b", "for b again"])
            try await scheduler.setReceivers(["a", "b"])
            #expect(try await consumer.calls(4, within: patience).last?.message.id == "for a again")
        }
    }

    @Test func `nothing comes before the given clock says so`() async throws {
        let start = Instant(milliseconds: 1_000_000)
        let clock = Mutex(start)
        let asleep = AsyncStream.makeStream(of: Instant.self)
        let tick = Gate()
        let scheduler = EmbeddedScheduler(
            try await folder.open(), now: { clock.withLock { $0 } },
            sleep: { instant in
                asleep.continuation.yield(instant)
                await tick.pass()
            }, logger: logger)
        let consumer = ScriptedConsumer(now: { clock.withLock { $0 } })
        try await scheduler.schedule([ScheduledMessage(id: "w", kind: .wake(groupKey: "g"), dueAt: start + 5_000_000_000)])
        try await running(scheduler, consumer) {
            var sleeps = asleep.stream.makeAsyncIterator()
            #expect(await sleeps.next() == start + 5_000_000_000)
            #expect(consumer.calls.isEmpty)
            clock.withLock { $0 = start + 5_000_000_000 }
            tick.open()
            let calls = try await consumer.calls(1, within: patience)
            #expect(calls.map(\.message.id) == ["w"])
        }
    }

    @Test func `every delivery comes once, whether it is handed out while it is stored or waits for room`() async throws {
        let consumer = ScriptedConsumer(now: Self.now)
        let database = try await folder.open()
        let scheduler = EmbeddedScheduler(database, now: Self.now, atOnce: 3, logger: logger)
        try await scheduler.setReceivers(["a"])
        try await running(scheduler, consumer) {
            try await withThrowingTaskGroup(of: Void.self) { group in
                for caller in 0..<20 {
                    group.addTask {
                        for number in 0..<25 { try await scheduler.schedule([Self.delivery("\(caller)-\(number)", to: "a")]) }
                    }
                }
                try await group.waitForAll()
            }
            _ = try await consumer.calls(500, within: patience)
        }
        #expect(Set(consumer.calls.map(\.message.id)).count == 500)
        #expect(consumer.calls.count == 500)
        // Their rows are gone: another run has nothing to hand out.
        let lane = LaneName.receiver(Array("a".utf8)).key
        let left = try await database.read { try ScheduledRows.due(in: lane, at: .distantFuture, limit: 1, $0).rows.count }
        #expect(left == 0)
    }

    @Test func `what a full disk refused can be scheduled when there is room`() async throws {
        let database = try await folder.open()
        let scheduler = EmbeddedScheduler(database, now: Self.now, logger: logger)
        var message = Self.delivery("large", to: "a")
        message.body = Array(repeating: 1, count: 1 << 20)
        try await database.configureWriter("PRAGMA max_page_count = 40")
        let failure = await #expect(throws: SchedulerFailure.self) { try await scheduler.schedule([message]) }
        guard case .unavailable = try #require(failure) else {
            Issue.record("\(String(describing: failure))")
            return
        }
        try await database.configureWriter("PRAGMA max_page_count = 100000")
        try await scheduler.schedule([message])
    }
}
