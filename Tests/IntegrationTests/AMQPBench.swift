@testable import AMQPNotifications
import CRabbitMQ
import Foundation
import Logging
import RuleEngine
import TestSupport
import Testing

/// A broker below a prefix of its own. What is declared there is deleted when it is done with.
struct AMQPBench: Sendable {
    static let url = ProcessInfo.processInfo.environment["NODESPHERE_AMQP_URL"]
    static let receivers = ["team", "new", "a", "a.b", "a%2Eb", "#", "*", "a.#", "a b", "über", "a/b"]

    let configuration: AMQPConfiguration
    let topology: Topology
    let log = RecordedLog()

    init() throws {
        let prefix = "test-\(UInt64.random(in: 0 ... .max))"
        configuration = try AMQPConfiguration(url: try #require(Self.url), prefix: prefix)
        topology = Topology(prefix: prefix)
    }

    @Sendable static func wallClock() -> Instant {
        var time = timespec()
        clock_gettime(CLOCK_REALTIME, &time)
        return Instant(nanoseconds: Int64(time.tv_sec) * 1_000_000_000 + Int64(time.tv_nsec))
    }

    func scheduler(now: @escaping @Sendable () -> Instant = Self.wallClock) -> AMQPScheduler {
        AMQPScheduler(configuration, logger: log.logger, now: now)
    }

    var contractBench: SchedulerBench {
        let bench = self
        return SchedulerBench(now: Self.wallClock) { bench.scheduler() }
    }

    static func with<Result>(_ body: (AMQPBench) async throws -> Result) async throws -> Result {
        let bench = try AMQPBench()
        let result: Swift.Result<Result, any Error>
        do { result = .success(try await body(bench)) } catch { result = .failure(error) }
        try await bench.onConnection { connection in
            let topology = bench.topology
            let queues = [topology.due, topology.dead] + (0..<Topology.levelCount).map(topology.delay) + receivers.map(topology.channel)
            for queue in queues { try connection.delete(queue: queue) }
            let exchanges = [topology.notifications, topology.events] + (0..<Topology.levelCount).map(topology.delay)
            for exchange in exchanges { try connection.delete(exchange: exchange) }
        }
        return try result.get()
    }

    /// A connection of the test's own, on a thread that may block.
    @discardableResult
    func onConnection<Result: Sendable>(_ body: @escaping @Sendable (AMQPConnection) throws -> Result) async throws -> Result {
        let configuration = configuration
        let result: Swift.Result<Result, any Error> = await withCheckedContinuation { continuation in
            Thread.detachNewThread { continuation.resume(returning: Swift.Result { try body(try AMQPConnection(configuration)) }) }
        }
        return try result.get()
    }

    func delivery(_ id: String, to receiver: String = "team", at dueAt: Instant = wallClock(), body: [UInt8] = []) -> ScheduledMessage {
        ScheduledMessage(id: id, kind: .delivery(receiver: receiver, severity: "critical", status: "firing"), dueAt: dueAt, body: body)
    }

    /// Runs the scheduler until `body` is done.
    func running<Result: Sendable>(
        _ scheduler: AMQPScheduler, _ consumer: ScriptedConsumer, _ body: () async throws -> Result
    ) async throws -> Result {
        try await withThrowingTaskGroup(of: Void.self) { group in
            group.addTask { await scheduler.run(consumer) }
            let result = try await body()
            group.cancelAll()
            try await group.waitForAll()
            return result
        }
    }
}

/// The suites that talk to the broker, one test after the other: one of them stops it.
@Suite(
    .serialized, .usesRabbitMQ,
    .enabled(if: AMQPBench.url != nil, "NODESPHERE_AMQP_URL is not set: eval \"$(scripts/services up rabbitmq)\""))
struct AMQPTests {}
