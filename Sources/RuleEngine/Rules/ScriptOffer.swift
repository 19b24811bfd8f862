/// What an automation offers to the actions of rules.
public struct ScriptOffer: Sendable, Equatable {
    public var name: String
    public var file: String
    /// Nil: the script could not be read to its end, so that nobody knows.
    public var actions: [String]?
    public init(name: String, file: String, actions: [String]?) {
        self.name = name
        self.file = file
        self.actions = actions
    }
}

extension RuleCatalog {
    /// Whether an action of any rule calls a function of an automation.
    public var callsScripts: Bool { !scriptCalls.isEmpty || !otherScriptCalls.isEmpty }

    /// Actions of its rules that call functions of automations.
    public var scriptCalls: [CallAction] {
        rules.flatMap { $0.firingActions + $0.resolvedActions }.compactMap { action in
            guard case .call(let call) = action, case .script = call.function else { return nil }
            return call
        }
    }

    /// Actions that call what no automation offers.
    public func unknownScripts(among offers: [ScriptOffer], severity: Diagnostic.Severity) -> [Diagnostic] {
        (scriptCalls + otherScriptCalls).compactMap { call in
            guard case .script(let automation, let function) = call.function else { return nil }
            return Self.complaint(automation, function, offers, severity, at: call.location)
        }
    }

    private static func complaint(
        _ automation: String, _ function: String, _ offers: [ScriptOffer], _ severity: Diagnostic.Severity, at location: SourceLocation
    ) -> Diagnostic? {
        guard let offer = offers.first(where: { $0.name == automation }) else {
            return unknown("there is no automation '\(automation)'", automation, offers.map(\.name), severity, at: location)
        }
        guard let actions = offer.actions, !actions.contains(function) else { return nil }
        var place = location
        // Where the text stands as it is, the function's name is its end.
        if place.length == automation.unicodeScalars.count + 1 + function.unicodeScalars.count {
            place.column += place.length - function.unicodeScalars.count
            place.length = function.unicodeScalars.count
        }
        return unknown("the automation '\(automation)' offers no action '\(function)'", function, actions, severity, at: place)
    }

    private static func unknown(
        _ message: String, _ name: String, _ known: [String], _ severity: Diagnostic.Severity, at location: SourceLocation
    ) -> Diagnostic {
        Diagnostic(
            severity, code: "unknown-action", message, at: location,
            notes: [known.isEmpty ? "there are none" : "there are: \(known.sorted().joined(separator: ", "))"],
            hint: nearestName(to: name, in: known).map { "did you mean '\($0)'?" })
    }
}
