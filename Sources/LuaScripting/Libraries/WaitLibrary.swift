internal import RuleEngine

/// `sleep` and `wait_for`: the handler waits, nothing else does.
extension AutomationRuntime {
    func defineWaits(_ automation: Automation) {
        define(automation, "sleep") { runtime, automation, call in
            guard let nanoseconds = call.duration(0) else { return .raise("wants a duration, such as \"10m\", or seconds") }
            return runtime.wait(automation, call, .time, until: runtime.now + nanoseconds)
        }
        define(automation, "wait_for") { runtime, automation, call in
            guard let text = call[0].text else { return .raise("wants a topic filter first") }
            var timeout: Int64?
            var condition: CELCondition?
            guard let options = call[1].isNone ? [] : call[1].members else { return .raise("the options must be a table") }
            for option in options {
                switch option.name {
                case "timeout":
                    guard let nanoseconds = option.value.nanoseconds else { return .raise("'timeout' must be a duration, such as \"5m\"") }
                    timeout = nanoseconds
                case "where":
                    guard let text = option.value.text else { return .raise("'where' must be an expression") }
                    do throws(CELCondition.Mistake) { condition = try automation.condition(text, call) } catch {
                        return .raise("'where': \(error.message)")
                    }
                default: return .raise("there is no option '\(option.name)': there are timeout and where")
                }
            }
            return runtime.waitForMessage(automation, call, text, timeout, condition)
        }
    }

    private func waitForMessage(
        _ automation: Automation, _ call: LuaCall, _ text: String, _ timeout: Int64?, _ condition: CELCondition?
    ) -> LuaAnswer {
        var levels = text.split(separator: "/", omittingEmptySubsequences: false).map(String.init)
        // {id} is this handler's own.
        for (name, value) in automation.current?.captures ?? [] { levels = levels.map { $0 == "{\(name)}" ? value : $0 } }
        let concrete = levels.joined(separator: "/")
        let filter: TopicFilter
        let wide: TopicFilter
        do throws(TopicFilter.Mistake) {
            filter = try TopicFilter(concrete)
            wide = try TopicFilter(text)
        } catch {
            return .raise("'\(text)': \(error.message)")
        }
        let isTopic = filter.levels.allSatisfy { if case .literal = $0 { true } else { false } }
        let wait = HandlerRun.MessageWait(filter: filter, topic: isTopic ? concrete : nil, condition: condition)
        let answer = self.wait(automation, call, .message(wait), until: timeout.map { now + $0 })
        guard case .wait = answer else { return answer }
        automation.messageWaits += 1
        if !subscriptions.contains(where: { $0.filter.subscription == wide.subscription }), waitFilters.count < Self.mostWaitFilters {
            waitFilters.append(wide)
            emit(automation, .subscriptionsChanged)
        }
        return answer
    }

    /// Lets the call that runs now wait.
    func wait(_ automation: Automation, _ call: LuaCall, _ wait: HandlerRun.Wait, until end: Instant?) -> LuaAnswer {
        guard let run = automation.current else {
            return .raise(automation.isLoading ? "only a handler can wait, not the file while it is read" : "only a handler can wait")
        }
        guard call.mayWait else { return .raise("it is not possible to wait here: a C function is in between") }
        guard automation.waiting.count < settings.waitingHandlers || automation.waiting[run.number] != nil else {
            return .exceed(
                .waitingHandlers,
                "waiting handlers limit: \(settings.waitingHandlers) handlers of this script wait already, as many as may")
        }
        run.wait = wait
        // Resuming makes it another wait; the timer is of this one.
        if let end { addTimer(end, automation, .wake(run: run.number, wait: run.waits)) }
        return .wait
    }
}

extension Automation {
    /// Bytes of the texts of conditions that are kept.
    private static let mostKept = 262_144
    private static let instructionsAByte = 20

    /// A condition, compiled once.
    func condition(_ text: String, _ call: LuaCall) throws(CELCondition.Mistake) -> CELCondition {
        if let known = conditions[text] { return known }
        call.charge(Int64(min(text.utf8.count, CELCondition.longest) * Self.instructionsAByte))
        let condition = try CELCondition(text)
        if conditionsLength + condition.length > Self.mostKept {
            conditions = [:]
            conditionsLength = 0
        }
        conditionsLength += condition.length
        conditions[text] = condition
        return condition
    }
}
