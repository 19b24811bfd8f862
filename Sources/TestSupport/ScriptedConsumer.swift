public import RuleEngine
internal import Synchronization

/// What a port's contract asks for and an adapter does not do.
public struct ContractViolation: Error, CustomStringConvertible {
    public var description: String
    public init(_ description: String) { self.description = description }
}

/// A call that a scheduler made, and when it began.
public struct SchedulerCall: Sendable {
    public enum Stage: Sendable { case due, deliver }
    public var stage: Stage
    public var message: ScheduledMessage
    public var at: Instant
}

/// A consumer that answers as it is told and keeps what it was asked.
public final class ScriptedConsumer: ScheduledMessageConsumer {
    private struct Waiter {
        var isContent: @Sendable ([SchedulerCall]) -> Bool
        var continuation: CheckedContinuation<Bool, Never>
    }
    private struct Log {
        var calls: [SchedulerCall] = []
        var waiters: [Int: Waiter] = [:]
        var nextWaiter = 0
    }
    private let log = Mutex(Log())
    private let now: @Sendable () -> Instant
    private let onDue: @Sendable (ScheduledMessage) async -> DueDecision
    private let onDeliver: @Sendable (ScheduledMessage) async -> DeliveryOutcome

    /// By default a wake is dealt with, a delivery that comes due goes on, and every attempt succeeds.
    public init(
        now: @escaping @Sendable () -> Instant,
        due: @escaping @Sendable (ScheduledMessage) async -> DueDecision = { message in
            if case .wake = message.kind { .done } else { .deliver }
        },
        deliver: @escaping @Sendable (ScheduledMessage) async -> DeliveryOutcome = { _ in .done }
    ) {
        self.now = now
        onDue = due
        onDeliver = deliver
    }

    public func due(_ message: ScheduledMessage) async -> DueDecision {
        record(.due, message)
        return await onDue(message)
    }

    public func deliver(_ message: ScheduledMessage) async -> DeliveryOutcome {
        record(.deliver, message)
        return await onDeliver(message)
    }

    /// All calls so far, as soon as there are `count`.
    public func calls(_ count: Int, within patience: Duration) async throws -> [SchedulerCall] {
        try await calls(within: patience, awaiting: "\(count) calls") { $0.count >= count }
    }

    /// All calls so far, as soon as they are what is awaited.
    public func calls(
        within patience: Duration, awaiting what: String, until isContent: @escaping @Sendable ([SchedulerCall]) -> Bool
    ) async throws -> [SchedulerCall] {
        let number = log.withLock { log in
            log.nextWaiter += 1
            return log.nextWaiter
        }
        let deadline = Task {
            try await Task.sleep(for: patience)
            log.withLock { $0.waiters.removeValue(forKey: number) }?.continuation.resume(returning: false)
        }
        defer { deadline.cancel() }
        let came = await withCheckedContinuation { continuation in
            let isThere = log.withLock { log in
                let isThere = isContent(log.calls)
                if !isThere { log.waiters[number] = Waiter(isContent: isContent, continuation: continuation) }
                return isThere
            }
            if isThere { continuation.resume(returning: true) }
        }
        let calls = self.calls
        guard came else {
            throw ContractViolation(
                "\(what) did not come in \(patience), but \(calls.count): \(calls.map { "\($0.stage) \($0.message.id)" })")
        }
        return calls
    }

    public var calls: [SchedulerCall] { log.withLock { $0.calls } }

    private func record(_ stage: SchedulerCall.Stage, _ message: ScheduledMessage) {
        let at = now()
        let served = log.withLock { log in
            log.calls.append(SchedulerCall(stage: stage, message: message, at: at))
            let calls = log.calls
            let served = log.waiters.filter { $0.value.isContent(calls) }
            for number in served.keys { log.waiters[number] = nil }
            return served.values.map(\.continuation)
        }
        for continuation in served { continuation.resume(returning: true) }
    }
}

/// Holds those who come until it is opened; cancellation does not open it.
public final class Gate: Sendable {
    private struct State {
        var isOpen = false
        var waiting: [CheckedContinuation<Void, Never>] = []
    }
    private let state = Mutex(State())

    public init() {}

    public func pass() async {
        await withCheckedContinuation { continuation in
            let isOpen = state.withLock { state in
                if !state.isOpen { state.waiting.append(continuation) }
                return state.isOpen
            }
            if isOpen { continuation.resume() }
        }
    }

    public func open() {
        let waiting = state.withLock { state in
            state.isOpen = true
            defer { state.waiting = [] }
            return state.waiting
        }
        for continuation in waiting { continuation.resume() }
    }
}
