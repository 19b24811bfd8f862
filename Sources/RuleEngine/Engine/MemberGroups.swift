import CEL

/// Subjects of a source of members, by the values of `by`, in the order of their keys, and what expressions see of them.
///
/// A group keeps the records of its members from one evaluation to the next: a reading makes one of them anew.
final class MemberGroups {
    /// Members of one instance at most.
    static let maximum = 1_000

    fileprivate struct Group {
        /// Rising by their keys.
        var members: [Int32] = []
        /// For each of the plan's lists the records in the order of `members`; nil until somebody asks.
        var records: [[Value]?]
        /// Members whose records are out of date.
        var changed: [Int32] = []
    }

    private let key: SourceKey
    private let lists: [MemberColumns]
    private let timeField: Int
    private let keys = ByteTable()
    private var groups: [Group] = []
    /// By subject; -1: none.
    private var groupOf: [Int32] = []
    /// By subject: when a timer is set to see whether it has left.
    private var departures: [Instant] = []

    init(_ plan: SourcePlan) {
        key = plan.key
        lists = plan.membership.lists
        timeField = plan.membership.timeField
    }

    func add(_ subject: Int32, of key: UnsafeRawBufferPointer, in source: SourceState) {
        while groupOf.count <= Int(subject) {
            groupOf.append(-1)
            departures.append(.distantFuture)
        }
        let number = Int(self.key.home(of: Array(key)).withUnsafeBytes { group(of: $0) })
        groups[number].members.insert(subject, at: place(of: key, among: groups[number].members, in: source))
        groups[number].forgetRecords()
        groupOf[Int(subject)] = Int32(number)
        departures[Int(subject)] = .distantFuture
    }

    private func place(of key: UnsafeRawBufferPointer, among members: [Int32], in source: SourceState) -> Int {
        var first = 0, end = members.count
        while first < end {
            let middle = (first + end) / 2
            let isBefore = source.keys.withBytes(members[middle]) { key.lexicographicallyPrecedes($0) }
            if isBefore { end = middle } else { first = middle + 1 }
        }
        return first
    }

    private func group(of key: UnsafeRawBufferPointer) -> Int32 {
        let known = keys.find(key)
        if known >= 0 { return known }
        let number = keys.insert(key)
        let empty = Group(records: [[Value]?](repeating: nil, count: lists.count))
        if Int(number) == groups.count { groups.append(empty) } else { groups[Int(number)] = empty }
        return number
    }

    func remove(_ subject: Int32) {
        let number = groupOf[Int(subject)]
        groupOf[Int(subject)] = -1
        departures[Int(subject)] = .distantFuture
        groups[Int(number)].members.removeAll { $0 == subject }
        groups[Int(number)].forgetRecords()
        if groups[Int(number)].members.isEmpty { keys.remove(number) }
    }

    /// A reading of a member was taken in.
    func change(_ subject: Int32) { groups[Int(groupOf[Int(subject)])].change(subject) }

    /// Whether the group of a member that is not there yet can have one more.
    func hasRoom(for key: [UInt8]) -> Bool {
        let group = self.key.home(of: key).withUnsafeBytes { keys.find($0) }
        return group < 0 || groups[Int(group)].members.count < Self.maximum
    }

    /// The key of a member's group, which is that of the instances that see it.
    func withGroupKey<Result>(of subject: Int32, _ body: (UnsafeRawBufferPointer) -> Result) -> Result {
        keys.withBytes(groupOf[Int(subject)], body)
    }

    subscript(departureOf subject: Int32) -> Instant {
        get { departures[Int(subject)] }
        set { departures[Int(subject)] = newValue }
    }

    // MARK: Records

    /// A list of the records of an instance's members, in the order of their captures' values.
    func records(_ list: Int, of key: UnsafeRawBufferPointer, in source: SourceState, _ strings: InternedStrings) -> [Value] {
        let number = Int(keys.find(key))
        guard number >= 0 else { return [] }
        renew(number, in: source, strings)
        if let known = groups[number].records[list] { return known }
        let made = groups[number].members.map { record(of: $0, lists[list], in: source, strings) }
        groups[number].records[list] = made
        return made
    }

    private func renew(_ number: Int, in source: SourceState, _ strings: InternedStrings) {
        guard !groups[number].changed.isEmpty else { return }
        for subject in groups[number].changed {
            guard let place = groups[number].members.firstIndex(of: subject) else { continue }
            for list in lists.indices where groups[number].records[list] != nil {
                groups[number].records[list]?[place] = record(of: subject, lists[list], in: source, strings)
            }
        }
        groups[number].changed.removeAll(keepingCapacity: true)
    }

    /// Captures, `time`, and the fields that are there.
    private func record(of subject: Int32, _ columns: MemberColumns, in source: SourceState, _ strings: InternedStrings) -> Value {
        var pairs = zip(key.by, source.keyValues(subject)).map { (key: Value.string($0), value: Value.string($1)) }
        let row = source.slots.row(subject)
        if let time = row[timeField].value(in: strings) { pairs.append((.string("time"), time)) }
        for (name, field) in zip(columns.names, columns.fields) {
            if let value = row[field].value(in: strings) { pairs.append((.string(name), value)) }
        }
        return .map(CELMap(pairs) ?? CELMap())
    }
}

extension MemberGroups.Group {
    mutating func forgetRecords() {
        for list in records.indices { records[list] = nil }
        changed.removeAll(keepingCapacity: true)
    }

    /// Where nobody asks for the records, they are forgotten instead of being kept up to date for ever.
    mutating func change(_ subject: Int32) {
        if changed.last == subject || records.allSatisfy({ $0 == nil }) { return }
        changed.append(subject)
        if changed.count > members.count { forgetRecords() }
    }
}
