internal import RuleEngine

/// A script that was replaced goes on until the handlers that had begun have ended: it is called for nothing new, and shares its `state` with its heir.
extension AutomationRuntime {
    /// Scripts of one file that may be on their way out at once; the oldest is given up.
    private static let mostRetiring = 4

    /// Takes a script's handlers out of service.
    func retire(_ old: Automation) {
        flush(old)
        guard settings.reload == .finish, old.isBusy, !old.hasFailed else { return stop(old) }
        old.isRetiring = true
        retiring.append(old)
        let own = retiring.filter { $0.file == old.file }
        if own.count > Self.mostRetiring { giveUpRetiring { $0 === own[0] } }
        keepSubscribed(old)
    }

    /// What its handlers wait for may be covered by no handler of the heir.
    private func keepSubscribed(_ old: Automation) {
        for run in old.waiting.values.sorted(by: { $0.number < $1.number }) {
            guard case .message(let wait) = run.wait, waitFilters.count < Self.mostWaitFilters,
                !waitFilters.contains(where: { $0.subscription == wait.filter.subscription })
            else { continue }
            waitFilters.append(wait.filter)
        }
    }

    func giveUpRetiring(where isMeant: (Automation) -> Bool) {
        for automation in retiring.filter(isMeant) { stop(automation) }
        retiring.removeAll(where: isMeant)
    }

    /// The script that has taken the place of one on its way out; else itself.
    func heir(of automation: Automation) -> Automation {
        automation.isRetiring ? automations.first { $0.file == automation.file } ?? automation : automation
    }

    /// Runs a part of a call of a script on its way out.
    func whileRetiring(_ automation: Automation, _ body: () -> Void) {
        let heir = heir(of: automation)
        Self.carryState(from: heir, to: automation)
        body()
        Self.carryState(from: automation, to: heir)
        if heir !== automation { markChanged(heir) }
        if !automation.isBusy { giveUpRetiring { $0 === automation } }
    }

    /// Sets the members that differ, each for itself: scripts hold on to the table.
    private static func carryState(from: Automation, to: Automation) {
        guard from !== to, !from.hasFailed, !to.hasFailed, let new = try? from.lua.get("state").document,
            let old = try? to.lua.get("state").document, new != old
        else { return }
        let names = (new.members ?? []).map(\.name), gone = (old.members ?? []).map(\.name).filter { !names.contains($0) }
        guard new.members != nil || new.array?.isEmpty ?? false, old.members != nil || old.array?.isEmpty ?? false,
            // Names that are numbers were keys that were.
            !(names + gone).contains(where: { Int($0) != nil })
        else { return to.lua.set("state", LuaValue(new)) }
        for name in names where old[name] != new[name] { to.lua.set("state.\(name)", new[name].map { LuaValue($0) } ?? .none) }
        for name in gone { to.lua.set("state.\(name)", .none) }
    }
}
