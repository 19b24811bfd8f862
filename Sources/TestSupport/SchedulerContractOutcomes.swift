internal import RuleEngine
internal import Synchronization

// MARK: - What the consumer's answers do

extension SchedulerContract {
    static let outcomeClauses: [SchedulerClause] = [
        SchedulerClause(description: "what due is done with is not delivered and not offered again") { bench in
            let consumer = ScriptedConsumer(now: bench.now, due: { _ in .done })
            let scheduler = try await bench.openWithTeam()
            let calls = try await bench.run(
                scheduler, messages: [delivery("dropped", at: bench.now(plus: 1100))], calls: 1, consumer: consumer)
            try expect(calls[0].stage == .due, "\(calls)")
            try expect(try await bench.leftovers() == [], "it was offered again")
        },
        SchedulerClause(description: "what is delivered is not offered again") { bench in
            _ = try await bench.run(messages: [delivery("sent", at: bench.now())], calls: 1)
            let again = try await bench.leftovers()
            try expect(again == [], "\(again) were offered again")
        },
        SchedulerClause(description: "what due cannot decide is offered to due again, after so long") { bench in
            let answers = Answers<DueDecision>([.later(.milliseconds(1200)), .deliver])
            let consumer = ScriptedConsumer(now: bench.now, due: { _ in answers.next() ?? .done })
            let scheduler = try await bench.openWithTeam()
            let message = delivery("undecided", at: bench.now(plus: 1000))
            let calls = try await bench.run(scheduler, messages: [message], calls: 3, consumer: consumer)
            try expect(calls.map(\.stage) == [.due, .due, .deliver], "\(calls.map(\.stage))")
            try bench.expectInTime(calls[1].at, dueAt: calls[0].at + 1_200_000_000, of: "the second call")
            try expect(calls.allSatisfy { $0.message.attempt == 0 && $0.message.id == message.id }, "\(calls)")
        },
        SchedulerClause(description: "a retry is the same message with one attempt more, after so long") { bench in
            let answers = Answers<DeliveryOutcome>([.retry(after: .milliseconds(1300)), .done])
            let consumer = ScriptedConsumer(now: bench.now, deliver: { _ in answers.next() ?? .done })
            let message = delivery("retried", severity: nil, at: bench.now(), body: everyByte)
            let calls = try await bench.run(messages: [message], calls: 3, consumer: consumer)
            try expect(calls.map(\.stage) == [.deliver, .due, .deliver], "\(calls.map(\.stage))")
            try expect(calls.map(\.message.attempt) == [0, 1, 1], "\(calls.map(\.message.attempt))")
            try bench.expectInTime(calls[1].at, dueAt: calls[0].at + 1_300_000_000, of: "the retry")
            for call in calls {
                try expect(
                    call.message.id == message.id && call.message.kind == message.kind && call.message.body == message.body, "\(call)")
            }
            try expect(try await bench.leftovers() == [], "it was offered again")
        },
        SchedulerClause(description: "an attempt that was not made is offered again with the same number") { bench in
            let answers = Answers<DeliveryOutcome>([.later(.milliseconds(1100)), .done])
            let consumer = ScriptedConsumer(now: bench.now, deliver: { _ in answers.next() ?? .done })
            let calls = try await bench.run(
                messages: [delivery("postponed", at: bench.now(), attempt: 4)], calls: 3, consumer: consumer)
            let last = calls[2]
            try expect(last.stage == .deliver && last.message.attempt == 4, "\(last)")
            try bench.expectInTime(last.at, dueAt: calls[0].at + 1_100_000_000, of: "the second offer")
        },
        SchedulerClause(description: "what failed for good stays in the dead letters with its reason and is not offered again") { bench in
            let consumer = ScriptedConsumer(now: bench.now, deliver: { .dead(reason: "410 Gone: \($0.id) “über”\n") })
            let messages = ["first", "second", "third"].map { delivery($0, at: bench.now(), attempt: 2, body: everyByte) }
            let scheduler = try await bench.openWithTeam()
            for (index, message) in messages.enumerated() {
                _ = try await bench.running(scheduler, consumer) {
                    try await scheduler.schedule([message])
                    return try await consumer.calls(index + 1, within: bench.patience)
                }
            }
            try expect(try await bench.leftovers() == [], "one was offered again")
            let reopened = try await bench.open()
            for _ in 0..<2 {
                let letters = try await reopened.deadLetters(limit: 10)
                try expect(letters.map(\.message.id) == ["first", "second", "third"], "listed: \(letters.map(\.message.id))")
                for (letter, message) in zip(letters, messages) {
                    try expect(letter.reason == "410 Gone: \(message.id) “über”\n", letter.reason)
                    try expect(
                        letter.message.kind == message.kind && letter.message.attempt == 2 && letter.message.body == message.body,
                        "\(letter.message) is not \(message)")
                }
            }
            try expect(try await reopened.deadLetters(limit: 2).count == 2, "the limit does not hold")
            try expect(try await reopened.deadLetters(limit: 0).isEmpty, "the limit 0 does not hold")
        },
    ]
}

// MARK: - What outlives what

extension SchedulerContract {
    static let durabilityClauses: [SchedulerClause] = [
        SchedulerClause(description: "what schedule has taken comes after a restart, due or not") { bench in
            let scheduler = try await bench.openWithTeam()
            let messages = [
                delivery("now", at: bench.now()),
                delivery("soon", at: bench.now(plus: 1500)),
                ScheduledMessage(id: "wake", kind: .wake(groupKey: "g"), dueAt: bench.now(plus: 1000)),
            ]
            try await scheduler.schedule(messages)
            let calls = try await bench.run(messages: [], calls: 4)
            try expect(Set(calls.map(\.message.id)) == ["now", "soon", "wake"], "\(calls)")
        },
        SchedulerClause(description: "run ends only after the calls under way have ended") { bench in
            let gate = Gate()
            let ended = Mutex(false)
            let consumer = ScriptedConsumer(
                now: bench.now,
                deliver: { _ in
                    await gate.pass()
                    ended.withLock { $0 = true }
                    return .done
                })
            let scheduler = try await bench.openWithTeam()
            defer { gate.open() }
            try await scheduler.schedule([delivery("slow", at: bench.now())])
            let run = Task {
                await scheduler.run(consumer)
                return ended.withLock { $0 }
            }
            defer { run.cancel() }
            _ = try await consumer.calls(1, within: bench.patience)
            run.cancel()
            gate.open()
            try expect(await run.value, "run ended before the call")
        },
        SchedulerClause(description: "a cancelled run leaves the rest to the next") { bench in
            let messages = (0..<40).map { delivery("id-\($0)", at: bench.now()) }
            let first = ScriptedConsumer(now: bench.now)
            let scheduler = try await bench.openWithTeam()
            try await scheduler.schedule(messages)
            _ = try await bench.running(scheduler, first) { try await first.calls(1, within: bench.patience) }
            let second = ScriptedConsumer(now: bench.now)
            let rest = Set(messages.map(\.id)).subtracting(first.calls.map(\.message.id))
            _ = try await bench.running(scheduler, second) {
                try await second.calls(within: bench.patience, awaiting: "\(rest.sorted())") {
                    Set($0.map(\.message.id)).isSuperset(of: rest)
                }
            }
        },
    ]
}

// MARK: - What goes on at once

extension SchedulerContract {
    static let concurrencyClauses: [SchedulerClause] = [
        SchedulerClause(description: "a slow delivery does not hold up the others") { bench in
            let gate = Gate()
            defer { gate.open() }
            let consumer = ScriptedConsumer(
                now: bench.now,
                deliver: { message in
                    if message.id == "slow" { await gate.pass() }
                    return .done
                })
            let scheduler = try await bench.openWithTeam()
            _ = try await bench.running(scheduler, consumer) {
                defer { gate.open() }
                try await scheduler.schedule([delivery("slow", at: bench.now())])
                _ = try await consumer.calls(1, within: bench.patience)
                try await scheduler.schedule((0..<8).map { delivery("quick-\($0)", at: bench.now()) })
                return try await consumer.calls(9, within: bench.patience)
            }
        },
        SchedulerClause(description: "one id is with the consumer once at a time") { bench in
            let underWay = Mutex((now: 0, most: 0))
            let consumer = ScriptedConsumer(
                now: bench.now,
                deliver: { message in
                    guard message.id == "same" else { return .done }
                    underWay.withLock {
                        $0.now += 1
                        $0.most = max($0.most, $0.now)
                    }
                    // Long enough for a second call to begin, if one would.
                    for _ in 0..<100 { await Task.yield() }
                    underWay.withLock { $0.now -= 1 }
                    return .done
                })
            // A store may keep one of several with the same id.
            let messages = (0..<20).map { _ in delivery("same", at: bench.now()) } + [delivery("mark", at: bench.now(plus: 1000))]
            let scheduler = try await bench.openWithTeam()
            _ = try await bench.running(scheduler, consumer) {
                for message in messages { try await scheduler.schedule([message]) }
                return try await consumer.calls(within: bench.patience, awaiting: "both ids") {
                    Set($0.filter { $0.stage == .deliver }.map(\.message.id)) == ["same", "mark"]
                }
            }
            try expect(underWay.withLock { $0.most } == 1, "\(underWay.withLock { $0.most }) calls at once")
        },
        SchedulerClause(description: "a receiver that is added while running gets its messages") { bench in
            let consumer = ScriptedConsumer(now: bench.now)
            let scheduler = try await bench.openWithTeam()
            let calls = try await bench.running(scheduler, consumer) {
                try await scheduler.setReceivers(["team", "new"])
                try await scheduler.schedule([delivery("a", to: "new", at: bench.now()), delivery("b", at: bench.now())])
                return try await consumer.calls(2, within: bench.patience)
            }
            try expect(Set(calls.map(\.message.id)) == ["a", "b"], "\(calls)")
        },
        SchedulerClause(description: "a scheduler at work is ready") { bench in
            let consumer = ScriptedConsumer(now: bench.now)
            let scheduler = try await bench.openWithTeam()
            let reason = try await bench.running(scheduler, consumer) {
                try await scheduler.schedule([delivery("a", at: bench.now())])
                _ = try await consumer.calls(1, within: bench.patience)
                return await scheduler.unreadyReason()
            }
            try expect(reason == nil, reason ?? "")
        },
    ]
}

/// Answers, one after the other.
private final class Answers<Answer: Sendable>: Sendable {
    private let rest: Mutex<[Answer]>
    init(_ answers: [Answer]) { rest = Mutex(answers) }
    func next() -> Answer? { rest.withLock { $0.isEmpty ? nil : $0.removeFirst() } }
}
