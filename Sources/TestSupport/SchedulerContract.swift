public import RuleEngine
internal import Synchronization

/// A store of its own, empty, and schedulers over it.
public struct SchedulerBench: Sendable {
    /// A scheduler over the bench's store. A second call stands for a restart: whoever was opened before has been let go of.
    public var open: @Sendable () async throws -> any NotificationScheduler
    /// The clock that the schedulers have. It must run on by itself.
    public var now: @Sendable () -> Instant
    /// How late a message may come. Long, since a busy machine is late by seconds: what is to be found is a message that waits for something else than
    /// its time.
    public var lateness: Duration
    /// After how long a call that has not come is missing.
    public var patience: Duration

    public init(
        now: @escaping @Sendable () -> Instant, lateness: Duration = .seconds(30), patience: Duration = .seconds(60),
        open: @escaping @Sendable () async throws -> any NotificationScheduler
    ) {
        self.open = open
        self.now = now
        self.lateness = lateness
        self.patience = patience
    }
}

/// One sentence of the contract of `NotificationScheduler` and how it is shown. It wants a bench of its own.
public struct SchedulerClause: Sendable, CustomStringConvertible {
    public var description: String
    public var check: @Sendable (SchedulerBench) async throws -> Void
}

/// The contract of `NotificationScheduler`, for the tests of each adapter:
/// `@Test(arguments: SchedulerContract.clauses) func \`keeps the contract\`(_ clause: SchedulerClause)`.
public enum SchedulerContract {
    public static let clauses =
        contentClauses + timeClauses + outcomeClauses + durabilityClauses + concurrencyClauses
}

// MARK: - What is carried

extension SchedulerContract {
    static let contentClauses: [SchedulerClause] = [
        SchedulerClause(description: "a delivery that is due goes straight to its channel, as it was given") { bench in
            let message = delivery("intent-1", at: bench.now(), attempt: 3, body: everyByte)
            let calls = try await bench.run(messages: [message], calls: 1)
            try expect(calls[0].stage == .deliver, "it went to \(calls[0].stage)")
            try expect(calls[0].message == message, "\(calls[0].message) is not \(message)")
        },
        SchedulerClause(description: "a wake comes due with its group key and no content") { bench in
            let message = ScheduledMessage(id: "w", kind: .wake(groupKey: "{}/{a=\"b.c\"}:{d=\"ü #*%\"}"), dueAt: bench.now(plus: 0))
            let calls = try await bench.run(messages: [message], calls: 1)
            try expect(calls[0].stage == .due, "it went to \(calls[0].stage)")
            try expect(calls[0].message == message, "\(calls[0].message) is not \(message)")
        },
        SchedulerClause(description: "receivers are told apart whatever their names hold") { bench in
            let names = ["a", "a.b", "a%2Eb", "#", "*", "a.#", "a b", "über", "a/b"]
            let severities: [String?] = [nil, "", "critical", "none", "x.y"]
            let messages = names.enumerated().map { index, name in
                delivery("id-\(index)", to: name, severity: severities[index % severities.count], at: bench.now())
            }
            let scheduler = try await bench.open()
            try await scheduler.setReceivers(names)
            let calls = try await bench.run(scheduler, messages: messages, calls: names.count)
            try expect(Set(calls.map(\.message.id)).count == names.count && calls.count == names.count, "each once: \(calls)")
            for call in calls { try expect(messages.contains(call.message), "\(call.message) was not scheduled") }
        },
        SchedulerClause(description: "many messages of one call all come") { bench in
            let messages = (0..<500).map { delivery("id-\($0)", at: bench.now(), body: Array("\($0)".utf8)) }
            let calls = try await bench.run(messages: messages, calls: messages.count)
            try expect(Set(calls.map(\.message.id)).count == messages.count, "some came twice, others not")
        },
        SchedulerClause(description: "a body of a megabyte comes whole") { bench in
            let message = delivery("large", at: bench.now(), body: Array(repeating: 0x7B, count: 1 << 20))
            let calls = try await bench.run(messages: [message], calls: 1)
            try expect(calls[0].message == message, "\(calls[0].message.body.count) bytes came")
        },
        SchedulerClause(description: "scheduling nothing is done at once") { bench in
            try await bench.open().schedule([])
        },
    ]
}

// MARK: - When

extension SchedulerContract {
    static let timeClauses: [SchedulerClause] = [
        SchedulerClause(description: "a message never comes early, and not much too late") { bench in
            let messages = [-3_600_000, 0, 50, 400, 999, 1000, 1001, 1500, 2100, 3000].map { (ms: Int64) in
                ScheduledMessage(
                    id: "in \(ms)", kind: .wake(groupKey: "g"),
                    dueAt: Instant(milliseconds: bench.now().milliseconds) + ms * 1_000_000)
            }
            let calls = try await bench.run(messages: messages, calls: messages.count)
            for call in calls { try bench.expectInTime(call.at, dueAt: call.message.dueAt, of: call.message.id) }
        },
        SchedulerClause(description: "a delivery that comes due later is first given to due") { bench in
            let scheduler = try await bench.openWithTeam()
            let message = delivery("later", at: bench.now(plus: 1200))
            let calls = try await bench.run(scheduler, messages: [message], calls: 2)
            try expect(calls.map(\.stage) == [.due, .deliver], "\(calls.map(\.stage))")
            try bench.expectInTime(calls[0].at, dueAt: message.dueAt, of: "due")
            for call in calls { try expect(call.message == message, "\(call.message) is not \(message)") }
        },
        SchedulerClause(description: "a far instant does not come now") { bench in
            let far = [Instant(milliseconds: bench.now().milliseconds) + 86_400_000_000_000_000, .distantFuture]
            let messages = far.enumerated().map { ScheduledMessage(id: "far \($0)", kind: .wake(groupKey: "g"), dueAt: $1) }
            let calls = try await bench.run(messages: messages + [delivery("mark", at: bench.now(plus: 1100))], calls: 1)
            try expect(calls.allSatisfy { $0.message.id == "mark" }, "\(calls)")
        },
        SchedulerClause(description: "the distant past comes at once") { bench in
            let calls = try await bench.run(
                messages: [ScheduledMessage(id: "past", kind: .wake(groupKey: "g"), dueAt: .distantPast)], calls: 1)
            try expect(calls[0].message.id == "past", "\(calls)")
        },
    ]
}

// MARK: - Tools of the clauses

let everyByte = Array(UInt8.min...UInt8.max)

func expect(_ holds: Bool, _ otherwise: @autoclosure () -> String) throws {
    if !holds { throw ContractViolation(otherwise()) }
}

/// Instants are whole milliseconds: a store need not keep finer ones.
func delivery(
    _ id: String, to receiver: String = "team", severity: String? = "critical", status: String = "firing", at dueAt: Instant,
    attempt: Int = 0, body: [UInt8] = Array("{}".utf8)
) -> ScheduledMessage {
    ScheduledMessage(
        id: id, kind: .delivery(receiver: receiver, severity: severity, status: status),
        dueAt: Instant(milliseconds: dueAt.milliseconds), attempt: attempt, body: body)
}

extension SchedulerBench {
    func now(plus milliseconds: Int64) -> Instant { Instant(milliseconds: now().milliseconds) + milliseconds * 1_000_000 }

    func expectInTime(_ at: Instant, dueAt: Instant, of what: String) throws {
        try expect(at >= dueAt, "\(what) came \(dueAt - at) ns early")
        // Overdue ones are measured by nobody: they come at once, whatever "at once" is.
        if dueAt + 60_000_000_000 > at {
            try expect(Duration.nanoseconds(at - dueAt) <= lateness, "\(what) came \((at - dueAt) / 1_000_000) ms late")
        }
    }

    /// Opens a scheduler that has the receiver "team".
    func openWithTeam() async throws -> any NotificationScheduler {
        let scheduler = try await open()
        try await scheduler.setReceivers(["team"])
        return scheduler
    }

    /// Runs a scheduler until `body` is done.
    func running<Result: Sendable>(
        _ scheduler: any NotificationScheduler, _ consumer: ScriptedConsumer, _ body: () async throws -> Result
    ) async throws -> Result {
        try await withThrowingTaskGroup(of: Void.self) { group in
            group.addTask { await scheduler.run(consumer) }
            let result = try await body()
            group.cancelAll()
            try await group.waitForAll()
            return result
        }
    }

    /// Schedules the messages and gives the calls made, as soon as there are so many.
    func run(
        _ scheduler: (any NotificationScheduler)? = nil, messages: [ScheduledMessage], calls: Int, consumer: ScriptedConsumer? = nil
    ) async throws -> [SchedulerCall] {
        let used: any NotificationScheduler
        if let scheduler { used = scheduler } else { used = try await openWithTeam() }
        let consumer = consumer ?? ScriptedConsumer(now: now)
        return try await running(used, consumer) {
            try await used.schedule(messages)
            return try await consumer.calls(calls, within: patience)
        }
    }

    /// What is offered after a restart, up to a mark that is scheduled then.
    func leftovers() async throws -> [String] {
        let consumer = ScriptedConsumer(now: now)
        let scheduler = try await openWithTeam()
        let mark = delivery("mark", at: now(plus: 1000))
        return try await running(scheduler, consumer) {
            try await scheduler.schedule([mark])
            let seen = try await consumer.calls(within: patience, awaiting: "the mark") {
                $0.contains { $0.message.id == "mark" && $0.stage == .deliver }
            }
            return seen.map(\.message.id).filter { $0 != "mark" }
        }
    }
}
