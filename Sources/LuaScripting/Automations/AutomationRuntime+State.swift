public import RuleEngine

/// What scripts keep, and that nobody sees what a script does before the state that it wrote with it is stored.
extension AutomationRuntime {
    /// Bytes of a state that is stored whenever it may have changed.
    private static let smallState = 16 << 10
    /// After a larger one was stored, so long for each of its bytes is it not stored again: to read it takes time, and other scripts wait.
    private static let nanosecondsAByte: Int64 = 600
    private static let longestPause: Int64 = 1_000_000_000

    /// State is stored a second after it may have changed, so that a busy script writes once a second.
    func markChanged(_ automation: Automation) {
        guard !automation.isRetiring else { return }
        automation.mayHaveChanged = true
        guard !automation.flushIsDue else { return }
        automation.flushIsDue = true
        addTimer(now + 1_000_000_000, automation, .flush)
    }

    func flush(_ automation: Automation) {
        guard automation.mayHaveChanged, !automation.hasFailed, !automation.isRetiring else { return }
        automation.mayHaveChanged = false
        automation.flushedAt = now
        do throws(LuaFailure) {
            let state = try automation.lua.get("state").document
            automation.stateSize = automation.lua.lastExchange
            guard state != automation.storedState else { return }
            automation.storedState = state
            keep(automation, "state/\(automation.name)", state)
        } catch {
            fault(automation, LuaFailure(file: automation.file, line: 0, message: "the state cannot be stored: \(error.message)"))
        }
    }

    /// Stores small states that may have changed; large ones wait for their second.
    public func flushSmallStates() {
        for automation in automations where automation.mayHaveChanged && automation.stateSize <= Self.smallState { flush(automation) }
    }

    /// Stores a document, and remembers it for the next load.
    func keep(_ automation: Automation, _ id: String, _ document: Document?) {
        note(id, document)
        emit(automation, .store(id: id, document))
    }

    /// The effects since they were last taken, to be carried out when the states among them are stored.
    ///
    /// What others see of a script comes with the state that it wrote before, or behind it. While a large state may not be stored again, what its script puts out waits.
    public func takeEffectsBehindStates() -> [ScriptEffect] {
        guard !effects.isEmpty || !held.isEmpty else { return [] }
        let doers = Set((held + effects).filter(\.isSeenByOthers).map(\.automation))
        var unstored = Set<String>()
        for automation in automations where automation.mayHaveChanged && !automation.hasFailed && doers.contains(automation.name) {
            let end = automation.flushedAt + pause(of: automation)
            if end <= now {
                flush(automation)
            } else {
                unstored.insert(automation.name)
                flushAt(end, automation)
            }
        }
        let all = held + takeEffects()
        held = all.filter { $0.isSeenByOthers && unstored.contains($0.automation) }
        return unstored.isEmpty ? all : all.filter { !$0.isSeenByOthers || !unstored.contains($0.automation) }
    }

    private func pause(of automation: Automation) -> Int64 {
        automation.stateSize <= Self.smallState ? 0 : min(Self.longestPause, Int64(automation.stateSize) * Self.nanosecondsAByte)
    }

    private func flushAt(_ instant: Instant, _ automation: Automation) {
        guard !automation.isHolding else { return }
        automation.isHolding = true
        addTimer(instant, automation, .release)
    }
}

extension ScriptEffect {
    /// What a crash cannot take back.
    fileprivate var isSeenByOthers: Bool {
        switch kind {
        case .publish, .notify, .raise, .resolve, .hush, .request: true
        case .log, .store, .fault, .subscriptionsChanged: false
        }
    }
}
