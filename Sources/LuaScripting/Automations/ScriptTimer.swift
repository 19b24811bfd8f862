internal import HeapModule
public import RuleEngine

/// Something that happens to a script by time alone.
struct ScriptTimer: Comparable {
    enum Kind {
        case every(handler: Int)
        /// The end of a wait; late when the call has waited anew since.
        case wake(run: Int64, wait: Int)
        case after(number: Int64)
        case schedule(id: String, name: String, data: Document)
        /// State that was changed is stored.
        case flush
        /// State that others wait for may be stored again.
        case release
        case enable
    }
    var due: Instant
    var number: Int64
    /// Gone scripts leave timers behind, which find that it has failed.
    var automation: Automation
    var kind: Kind

    static func < (left: ScriptTimer, right: ScriptTimer) -> Bool { (left.due, left.number) < (right.due, right.number) }
    static func == (left: ScriptTimer, right: ScriptTimer) -> Bool { left.number == right.number }
}

extension AutomationRuntime {
    public var nextDue: Instant? { timers.min?.due }
    /// Timers that lie there, those that nobody waits for any more included.
    public var timersHeld: Int { timers.count }

    public func advance(to instant: Instant, most: Int = .max) -> Bool {
        var left = most
        while let next = timers.min, next.due <= instant {
            guard left > 0 else { return true }
            left -= 1
            _ = timers.popMin()
            now = max(now, next.due)
            run(next)
        }
        now = max(now, instant)
        return false
    }

    private func run(_ timer: ScriptTimer) {
        let automation = timer.automation
        guard !automation.hasFailed else { return }
        switch timer.kind {
        // Its heir has its own.
        case .every, .schedule, .flush, .release, .enable: if automation.isRetiring { return }
        case .wake, .after: break
        }
        switch timer.kind {
        case .every(let number):
            guard !automation.handlers[number].isCancelled else { return }
            switch automation.handlers[number].trigger {
            case .every(let nanoseconds): addTimer(timer.due + nanoseconds, automation, timer.kind)
            default: scheduleCron(automation, number)
            }
            call(automation, number, .none, captures: [])
        case .wake(let number, let wait):
            guard let run = automation.waiting[number], run.waits == wait else { return }
            // A wait for a message has run out, or time is all it waited for.
            if case .message = run.wait { automation.messageWaits -= 1 }
            run.wait = .time
            resume(run, of: automation) { $0.nothing() }
        case .after(let number):
            guard let function = automation.pending.removeValue(forKey: number) else { return }
            defer { automation.lua.release(function) }
            guard mayRun(automation) else { return }
            execute(newRun(nil, "", []), of: automation) { () throws(LuaFailure) in try automation.lua.start(function) { _ in } }
        case .schedule(let id, let name, let data):
            keep(automation, id, nil)
            callAll(automation, .document(data)) { if case .schedule(name) = $0 { true } else { false } }
        case .flush:
            automation.flushIsDue = false
            flush(automation)
        case .release:
            automation.isHolding = false
            flush(automation)
        case .enable:
            automation.disabledUntil = nil
            automation.recentFaults = []
        }
    }

    func addTimer(_ due: Instant, _ automation: Automation, _ kind: ScriptTimer.Kind) {
        // Before it is added: the call that is to wait for it does not wait yet.
        if timers.count > timersToSweep {
            // What was cancelled, or has ended before its time, would lie there until then: in time half of them may be such.
            timers = Heap(timers.unordered.filter(\.isAwaited))
            timersToSweep = timers.count * 2 + 1024
        }
        nextTimer += 1
        timers.insert(ScriptTimer(due: due, number: nextTimer, automation: automation, kind: kind))
    }
}

extension ScriptTimer {
    /// Whether anything would happen when it is due.
    fileprivate var isAwaited: Bool {
        guard !automation.hasFailed else { return false }
        return switch kind {
        case .wake(let run, let wait): automation.waiting[run]?.waits == wait
        case .after(let number): automation.pending[number] != nil
        case .every(let handler): !automation.handlers[handler].isCancelled
        case .schedule, .flush, .release, .enable: true
        }
    }
}
