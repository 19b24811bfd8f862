internal import RuleEngine

/// Calls of handlers: begun, waiting, gone on with, ended.
extension AutomationRuntime {
    /// Whether anything of a script may run now.
    func mayRun(_ automation: Automation) -> Bool {
        guard !automation.hasFailed, automation.disabledUntil == nil else { return false }
        if automation.callsAt != now {
            automation.callsAt = now
            automation.calls = 0
        }
        automation.calls += 1
        guard automation.calls > settings.callsAtOneInstant else { return true }
        if automation.calls == settings.callsAtOneInstant + 1 {
            let message = "calls limit: at one instant the handlers of a script may be called \(settings.callsAtOneInstant) times"
            fault(automation, LuaFailure(file: automation.file, line: 0, message: message, limit: .instructions))
        }
        return false
    }

    /// Calls a handler as its mode says.
    ///
    /// - Parameter ownKey: keeps calls apart where the handler names no captures for it.
    func call(
        _ automation: Automation, _ number: Int, _ arguments: CallArguments, captures: [(name: String, value: String)],
        key ownKey: String = ""
    ) {
        guard mayRun(automation) else { return }
        let handler = automation.handlers[number]
        let key = handler.key.isEmpty ? ownKey : handler.key(captures)
        let waiting = automation.byKey.isEmpty ? [] : automation.byKey[Automation.RunKey(handler: number, key: key)] ?? []
        if !waiting.isEmpty {
            switch handler.mode {
            case .single: return
            case .restart: for run in waiting.compactMap({ automation.waiting[$0] }) { cancel(run, of: automation) }
            case .queued: return queue(automation, number, key, arguments, captures)
            case .parallel:
                guard waiting.count < handler.most else {
                    return emit(
                        automation,
                        .log(level: "warning", message: "a call of a handler was dropped: \(handler.most) of them wait already ('max')"))
                }
            }
        }
        begin(automation, number, key, arguments, captures)
    }

    /// Calls a handler of a message that is read.
    ///
    /// - Parameter keep: gives the message as something that can be kept.
    func call(_ route: Route, _ message: LuaMessage, keep: () -> Reading) {
        let automation = route.automation
        guard automation.byKey.isEmpty else { return call(automation, route.handler, .reading(keep()), captures: route.captures) }
        guard mayRun(automation) else { return }
        automation.beginning = (nextRunNumber(), route)
        automation.runs += 1
        defer {
            automation.beginning = nil
            automation.running = nil
        }
        do throws(LuaFailure) {
            let thread = try automation.lua.start(route.function, message, route.values)
            markChanged(automation)
            guard let thread, let run = automation.current else { return }
            run.thread = thread
            wait(run, of: automation)
        } catch {
            automation.beginning = nil
            automation.running = nil
            markChanged(automation)
            fault(automation, error)
        }
    }

    private func wait(_ run: HandlerRun, of automation: Automation) {
        automation.waiting[run.number] = run
        if let handler = run.handler { automation.byKey[.init(handler: handler, key: run.key), default: []].append(run.number) }
    }

    private func queue(
        _ automation: Automation, _ number: Int, _ key: String, _ arguments: CallArguments, _ captures: [(name: String, value: String)]
    ) {
        let place = Automation.RunKey(handler: number, key: key)
        let handler = automation.handlers[number]
        guard automation.lines[place, default: []].count < handler.most else {
            return emit(
                automation, .log(level: "warning", message: "a call of a handler was dropped: \(handler.most) stand in line ('max')"))
        }
        automation.lines[place, default: []].append(.init(arguments: arguments, captures: captures))
    }

    private func begin(
        _ automation: Automation, _ number: Int, _ key: String, _ arguments: CallArguments, _ captures: [(name: String, value: String)]
    ) {
        let function = automation.handlers[number].function
        execute(newRun(number, key, captures), of: automation) { () throws(LuaFailure) in
            try automation.lua.start(function) { writer in
                switch arguments {
                case .none: break
                case .reading(let reading): reading.write(writer, captures: captures, world: world)
                case .document(let document): writer.value(document)
                case .action(let alert, let arguments):
                    writer.value(alert)
                    writer.value(arguments)
                }
            }
        }
    }

    /// Runs a part of a call, up to its next wait or its end.
    func execute(_ run: HandlerRun, of automation: Automation, _ body: () throws(LuaFailure) -> LuaThread?) {
        guard automation.isRetiring else { return executePart(run, of: automation, body) }
        whileRetiring(automation) { executePart(run, of: automation, body) }
    }

    private func executePart(_ run: HandlerRun, of automation: Automation, _ body: () throws(LuaFailure) -> LuaThread?) {
        automation.running = run
        if run.waits == 0 { automation.runs += 1 }
        defer { automation.running = nil }
        do throws(LuaFailure) {
            run.thread = try body()
        } catch {
            automation.running = nil
            // First of all: its thread is dead, and must not be given up once more.
            let waited = automation.forget(run)
            markChanged(automation)
            fault(automation, error)
            if waited { letNextIn(behind: run, of: automation) }
            return
        }
        markChanged(automation)
        guard run.thread != nil else { return end(run, of: automation) }
        if automation.waiting[run.number] == nil { wait(run, of: automation) }
    }

    func resume(_ run: HandlerRun, of automation: Automation, _ write: (LuaWriter) -> Void) {
        guard let thread = run.thread else { return }
        run.waits += 1
        guard mayRun(automation) else { return cancel(run, of: automation) }
        execute(run, of: automation) { () throws(LuaFailure) in try automation.lua.resume(thread, write) }
    }

    private func end(_ run: HandlerRun, of automation: Automation) {
        if automation.forget(run) { letNextIn(behind: run, of: automation) }
    }

    /// Begins what stands in line behind a call that has ended, until one of them waits.
    private func letNextIn(behind run: HandlerRun, of automation: Automation) {
        guard let handler = run.handler else { return }
        let place = Automation.RunKey(handler: handler, key: run.key)
        while automation.byKey[place] == nil, let next = automation.takeFromLine(place), mayRun(automation) {
            begin(automation, handler, run.key, next.arguments, next.captures)
        }
    }

    func cancel(_ run: HandlerRun, of automation: Automation) {
        if let thread = run.thread { automation.lua.drop(thread) }
        _ = automation.forget(run)
    }

    // MARK: Waits

    /// Waiting calls that a message on a topic may end, oldest first.
    func waiters(for topic: String) -> [(Automation, HandlerRun)] {
        var found: [(Automation, HandlerRun)] = []
        for automation in automations + retiring where automation.messageWaits > 0 {
            for run in automation.waiting.values {
                guard case .message(let wait) = run.wait else { continue }
                if wait.topic.map({ $0 == topic }) ?? wait.filter.matches(topic) { found.append((automation, run)) }
            }
        }
        return found.sorted { $0.1.number < $1.1.number }
    }

    func offer(_ reading: Reading, to run: HandlerRun, of automation: Automation) {
        guard automation.waiting[run.number] === run, case .message(let wait) = run.wait else { return }
        let captures = wait.filter.captures(in: reading.topic) ?? []
        if let condition = wait.condition {
            let others = captures.map { LuaValue.Member($0.name, .string($0.value)) } + [.init("topic", .string(reading.topic))]
            guard condition.isTrue(reading.message.members + others) else { return }
        }
        run.wait = .time
        automation.messageWaits -= 1
        resume(run, of: automation) { reading.write($0, captures: captures, world: world) }
    }

    func take(_ answer: ScriptAnswer, to request: Int64) {
        for automation in automations + retiring {
            for run in automation.waiting.values {
                guard case .request(request) = run.wait else { continue }
                run.wait = .time
                return resume(run, of: automation) { answer.write(to: $0) }
            }
        }
    }

    // MARK: Faults

    /// So long without a fault, and the next rest is as short as the first.
    private static let calmAfter: Int64 = 600_000_000_000

    /// Reports a fault, and lets the script rest when it was one too many.
    func fault(_ automation: Automation, _ failure: LuaFailure) {
        var fault = ScriptFault(failure, in: automation)
        automation.faults += 1
        automation.recentFaults = automation.recentFaults.filter { now - $0 < 60_000_000_000 } + [now]
        if let last = automation.lastFaultAt, now - last > Self.calmAfter { automation.rest = nil }
        automation.lastFaultAt = now
        if automation.recentFaults.count >= settings.faultsToDisable {
            let rest = automation.rest ?? settings.firstRest.inNanoseconds
            let end = now + rest
            automation.rest = min(rest.multipliedReportingOverflow(by: 2).partialValue, settings.longestRest.inNanoseconds)
            automation.disabledUntil = end
            fault.disabledUntil = end
            for run in automation.waiting.values.sorted(by: { $0.number < $1.number }) { cancel(run, of: automation) }
            automation.lines = [:]
            addTimer(end, automation, .enable)
        }
        automation.lastFault = fault
        emit(automation, .fault(fault))
    }
}
