import CEL

/// What makes a source one of the members of groups: its key holds every capture, and those in `group` tell the instance that a member belongs to.
struct Membership: Hashable, Sendable {
    /// `by` of the rules that see the members.
    var group: [String]
    /// A member leaves after a silence of so many nanoseconds.
    var silence: Int64

    /// Without `missing.after`, or where that is learned.
    private static let usualSilence: Int64 = 3_600_000_000_000

    init(_ rule: Rule) {
        group = rule.by
        silence = if case .after(let duration)? = rule.missing?.deadline { duration.inNanoseconds } else { Self.usualSilence }
    }
}

/// The members that a rule sees: of which source, and which of its columns.
struct MemberListPlan: Sendable {
    var source: Int32
    /// In `MembershipPlan.lists` of that source.
    var list = 0
}

/// Which fields of a member are seen, beside its captures and `time`: their names, rising, and their places in the source.
struct MemberColumns: Hashable, Sendable {
    var names: [String]
    var fields: [Int]
}

/// What a source of members is there for.
struct MembershipPlan: Sendable {
    /// Rules of one source that are evaluated when something of a member changes.
    struct Dependents: Sendable {
        var source: Int32
        var rules: [Int32]
    }

    /// The field that is the time of a member's last reading.
    var timeField = 0
    var lists: [MemberColumns] = []
    var dependents: [Dependents] = []
    /// The first rule that sees the members: in its turn, they leave.
    private(set) var firstRule: Int32 = -1

    mutating func list(_ columns: MemberColumns) -> Int {
        if let place = lists.firstIndex(of: columns) { return place }
        lists.append(columns)
        return lists.count - 1
    }

    mutating func add(_ rule: RulePlan, of source: SourcePlan) {
        if firstRule < 0 { firstRule = rule.number }
        let isEvaluated = rule.everyNanoseconds == 0 && !rule.isEvent && rule.rule.isEnabled
        guard isEvaluated, rule.extras.contains(where: { source.extras[Int($0)].kind.isMembers }) else { return }
        if let place = dependents.firstIndex(where: { $0.source == rule.source }) {
            dependents[place].rules.append(rule.number)
        } else {
            dependents.append(Dependents(source: rule.source, rules: [rule.number]))
        }
    }
}

extension SourceKey {
    /// Members of a rule's instances: told by all captures of its filters.
    init(membersOf rule: Rule) {
        subscriptions = Self.plain(rule)
        by = Self.captures(of: rule)
        membership = Membership(rule)
    }

    /// All captures, in the order in which they stand in the filters.
    fileprivate static func captures(of rule: Rule) -> [String] {
        rule.subscriptions.flatMap(\.filter.captures).reduce(into: []) { if !$0.contains($1) { $0.append($1) } }
    }

    /// What decides the shard of a subject: its key; of a member that of its group, so that both are together.
    func home(of key: [UInt8]) -> [UInt8] {
        guard let group = membership?.group else { return key }
        let values = key.split(separator: 0, omittingEmptySubsequences: false)
        let places = group.compactMap { by.firstIndex(of: $0) }
        return Array(places.map { values.indices.contains($0) ? values[$0] : [] }.joined(separator: [0]))
    }
}

extension RuleScope {
    /// The slot of the members. Which fields they have is known when all expressions of the rule are compiled.
    fileprivate func memberSlot() -> Int {
        if memberPlace == nil {
            memberPlace = source.plan.memberLists.count
            source.plan.memberLists.append(MemberListPlan(source: Int32(sources.place(of: SourceKey(membersOf: rule)))))
        }
        let place = memberPlace ?? 0
        return source.extra("members \(place)", meaning: "members", .members(place))
    }

    /// The source of the members, told which fields the rule wants; -1: the rule sees none.
    func finishMembers() -> Int32 {
        guard let place = memberPlace else { return -1 }
        let number = source.plan.memberLists[place].source
        let members = sources.all[Int(number)]
        members.plan.membership.timeField = members.field(FieldPath(origin: .eventTime)) ?? 0
        let names = selectedFields.subtracting(members.plan.key.by + ["time"]).sorted()
        let fields = names.map { members.field(.member($0)) }
        if fields.contains(nil) {
            diagnostics.append(Diagnostic(code: "limit", "at most \(firstExtraSlot) fields of members can be read", at: rule.location))
        }
        let columns = MemberColumns(names: names, fields: fields.compactMap { $0 })
        source.plan.memberLists[place].list = members.plan.membership.list(columns)
        return number
    }
}

extension RuleNames {
    /// `members`: records of the devices that feed the instance.
    func members() -> NameResolution {
        let hint = "a field of the payload with this name is 'payload.members'"
        guard scope.place != .label else {
            return .refused(code: "label-measured", message: "a label may not depend on a measured value")
        }
        guard !scope.rule.subscriptions.isEmpty else {
            return .refused(code: "members", message: "'members' are those whose readings feed an instance: they need 'on'")
        }
        guard !Set(SourceKey.captures(of: scope.rule)).isSubset(of: scope.rule.by) else {
            return .refused(
                code: "members",
                message: "every instance has one member: there is no capture that is not in 'by', which tells instances apart",
                hint: scope.rule.by.isEmpty ? hint : "'by' holds what the members have in common, 'by: []' is for all")
        }
        return .slot(scope.memberSlot(), type: .list(.record), consumed: 1)
    }

    mutating func select(_ field: String, isOfRecord: Bool, span: Span) -> CELDiagnostic? {
        scope.selectedFields.insert(field)
        guard isOfRecord, field == "config" else { return nil }
        return CELDiagnostic(
            span: span, code: "members", message: "a member has its captures, its fields and 'time', and no 'config'",
            hint: "'config' by itself is that of the device whose reading is evaluated")
    }

    func refusedOfMembers(_ call: HostCall) -> CallResolution {
        let message =
            call.name == "age"
            ? "'age' takes a field" : "'\(call.name)' cannot look at members: what they were before the reading is not kept"
        return .invalid([CELDiagnostic(span: call.argumentSpans[0], code: "not-supported", message: message)])
    }
}
