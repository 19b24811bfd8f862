@testable import AMQPNotifications
import Foundation
import RuleEngine
import TestSupport
import Testing

extension AMQPTests {
    @Test func `nothing is lost when the broker is restarted under way`() async throws {
        try await AMQPBench.with { bench in
            let scheduler = bench.scheduler()
            try await scheduler.setReceivers(["team", "new"])
            let consumer = ScriptedConsumer(
                now: AMQPBench.wallClock, deliver: { $0.attempt == 0 && $0.id.hasSuffix("7") ? .retry(after: .seconds(1)) : .done })
            let total = 3000
            try await bench.running(scheduler, consumer) {
                async let refusals = scheduleUntilTaken(total, bench, scheduler)
                _ = try await consumer.calls(50, within: patience)
                try await services("stop", "rabbitmq")
                let failure = await #expect(throws: SchedulerFailure.self) { try await scheduler.schedule([bench.delivery("now")]) }
                #expect(failure?.description.contains("RabbitMQ at amqp://127.0.0.1:") == true)
                #expect(await scheduler.unreadyReason()?.contains("RabbitMQ at amqp://127.0.0.1:") == true)
                try await services("start", "rabbitmq")
                #expect(try await refusals > 0, "the broker was away too briefly to be missed")
                let wanted = Set((0..<total).map { "\($0)" })
                // What the broker was dead-lettering when it stopped, it may take up again only after its own three minutes.
                _ = try await consumer.calls(within: .seconds(240), awaiting: "all messages, with the retried") { calls in
                    let done = calls.lazy.filter { $0.stage == .deliver && ($0.message.attempt == 1 || !$0.message.id.hasSuffix("7")) }
                    return calls.count >= total && Set(done.map(\.message.id)).isSuperset(of: wanted)
                }
                #expect(await scheduler.unreadyReason() == nil)
            }
            // Once each, whatever number of attempts to connect there were and whichever connection was first.
            #expect(bench.log.lines.filter { $0.hasPrefix("error: RabbitMQ is out of reach") }.count == 1, "\(bench.log.lines)")
            #expect(bench.log.lines.filter { $0.hasPrefix("notice: RabbitMQ is back") }.count == 1, "\(bench.log.lines)")
        }
    }

    @Test func `a broker that is not there makes scheduling unavailable, and its password is told nobody`() async throws {
        let log = RecordedLog()
        // Port 1 of the loopback: nothing listens there.
        let configuration = try AMQPConfiguration(url: "amqp://somebody:s3cret@127.0.0.1:1/x")
        let scheduler = AMQPScheduler(configuration, logger: log.logger, now: AMQPBench.wallClock)
        let failure = await #expect(throws: SchedulerFailure.self) {
            try await scheduler.schedule([ScheduledMessage(id: "a", kind: .wake(groupKey: "g"), dueAt: AMQPBench.wallClock())])
        }
        guard case .unavailable(let reason)? = failure else {
            Issue.record("\(String(describing: failure))")
            return
        }
        #expect(reason.hasPrefix("RabbitMQ at amqp://127.0.0.1:1 (virtual host 'x'): cannot connect: "))
        let told = [reason, await scheduler.unreadyReason() ?? ""] + log.lines
        #expect(told.count == 3 && told.allSatisfy { !$0.contains("s3cret") && !$0.contains("somebody") }, "\(told)")
        await #expect(throws: SchedulerFailure.self) { try await scheduler.deadLetters(limit: 1) }
        await #expect(throws: SchedulerFailure.self) { try await scheduler.setReceivers(["team"]) }
        #expect(!scheduler.publishEvent(alertname: "A", state: "firing", body: []))
    }

    @Test func `a wrong password is named as such, without it`() async throws {
        let url = try #require(AMQPBench.url)
        let wrong = "amqp://guest:s3cret@" + (url.split(separator: "@").last ?? "")
        let log = RecordedLog()
        let scheduler = AMQPScheduler(try AMQPConfiguration(url: wrong), logger: log.logger, now: AMQPBench.wallClock)
        let failure = await #expect(throws: SchedulerFailure.self) { try await scheduler.setReceivers(["team"]) }
        #expect(failure?.description.contains("403 ACCESS_REFUSED") == true, "\(failure?.description ?? "")")
        let told = log.lines + [failure?.description ?? ""]
        #expect(told.allSatisfy { !$0.contains("s3cret") })
    }

    @Test func `a run without a broker can be ended`() async throws {
        let configuration = try AMQPConfiguration(url: "amqp://127.0.0.1:1/x")
        let scheduler = AMQPScheduler(configuration, logger: RecordedLog().logger, now: AMQPBench.wallClock)
        let run = Task { await scheduler.run(ScriptedConsumer(now: AMQPBench.wallClock)) }
        run.cancel()
        await run.value
    }
}

/// As the pipeline does: what was not taken is given again, with the same ids. How often that was.
private func scheduleUntilTaken(
    _ total: Int, _ bench: AMQPBench, _ scheduler: AMQPScheduler
) async throws -> Int {
    var refusals = 0
    for start in stride(from: 0, to: total, by: 10) {
        let messages = (start..<start + 10).map { id in
            bench.delivery("\(id)", to: id % 3 == 0 ? "new" : "team", at: AMQPBench.wallClock() + (id % 4 == 0 ? 2_000_000_000 : 0))
        }
        while true {
            do {
                try await scheduler.schedule(messages)
                break
            } catch {
                refusals += 1
                try await Task.sleep(for: .milliseconds(100))
            }
        }
        // The publishing is to last longer than the broker's stop.
        try await Task.sleep(for: .milliseconds(10))
    }
    return refusals
}
