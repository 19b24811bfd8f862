/// The silences, with their patterns compiled.
public struct SilenceBook: Sendable {
    private struct Entry: Sendable {
        var silence: Silence
        var matchers: [CompiledMatcher]

        func hides(_ labels: [String: String], at now: Instant) -> Bool {
            silence.state(at: now) == .active && !matchers.isEmpty && matchers.allSatisfy { $0.matches(labels) }
        }
    }
    /// A label and the value that a silence wants of it.
    private struct Wanted: Hashable, Sendable {
        var name: String
        var value: String
    }
    private var entries: [String: Entry] = [:]
    /// Ids by one label that they want, so that an alert is compared with few; those that want none by its value are in `others`.
    private var wanting: [Wanted: Set<String>] = [:]
    private var others: Set<String> = []
    private let compile: RegexCompiler

    public static let most = 10_000
    /// Those that are over stay readable for five days.
    static let keptAfterEnd = Duration.seconds(5 * 86_400)

    init(compile: @escaping RegexCompiler) { self.compile = compile }

    public var isEmpty: Bool { entries.isEmpty }
    /// In the order of their ids' bytes.
    public var all: [Silence] { entries.values.map(\.silence).sorted { $0.id.utf8.lexicographicallyPrecedes($1.id.utf8) } }
    public subscript(id: String) -> Silence? { entries[id]?.silence }

    /// Why a silence cannot be taken at `now`; nil when it can.
    func mistake(in silence: Silence, at now: Instant) -> SilenceMistake? {
        if silence.matchers.isEmpty { return .noMatcher }
        if silence.matchers.count > Silence.mostMatchers { return .tooManyMatchers }
        for (name, text) in [("createdBy", silence.createdBy), ("comment", silence.comment)]
            + silence.matchers.map({ ("matchers", $0.value) })
        where text.utf8.count > Silence.longestText { return .textTooLong(name) }
        for matcher in silence.matchers where CompiledMatcher(matcher, compile) == nil { return .pattern(matcher.value) }
        if silence.matchers.allSatisfy({ CompiledMatcher($0, compile)?.matches([:]) ?? true }) { return .hidesEverything }
        if silence.endsAt <= silence.startsAt { return .endsBeforeItStarts }
        if silence.endsAt <= now { return .isOver }
        if entries[silence.id] == nil, entries.count >= Self.most { return .tooMany }
        return nil
    }

    /// One whose patterns do not compile (it was stored by another build) hides nothing.
    mutating func set(_ silence: Silence) {
        remove(silence.id)
        let matchers = silence.matchers.compactMap { CompiledMatcher($0, compile) }
        entries[silence.id] = Entry(silence: silence, matchers: matchers.count == silence.matchers.count ? matchers : [])
        if let wanted = Self.wanted(by: silence) { wanting[wanted, default: []].insert(silence.id) } else { others.insert(silence.id) }
    }

    mutating func remove(_ id: String) {
        guard let entry = entries.removeValue(forKey: id) else { return }
        others.remove(id)
        guard let wanted = Self.wanted(by: entry.silence) else { return }
        wanting[wanted]?.remove(id)
        if wanting[wanted]?.isEmpty ?? false { wanting[wanted] = nil }
    }

    /// A label without a value is as one that is not there: nothing is found by it.
    private static func wanted(by silence: Silence) -> Wanted? {
        silence.matchers.first { $0.operation == .equal && !$0.value.isEmpty }.map { Wanted(name: $0.name, value: $0.value) }
    }

    /// The ids of those that hide an alert with these labels at `now`, sorted.
    public func hiding(_ labels: [String: String], at now: Instant) -> [String] {
        var ids: [String] = []
        forEachHiding(labels, at: now) { ids.append($0.silence.id) }
        return ids.sorted()
    }

    /// Until when an alert with these labels is hidden at least; nil when it is not.
    func hidden(_ labels: [String: String], at now: Instant) -> Instant? {
        var end: Instant?
        forEachHiding(labels, at: now) { end = max(end ?? now, $0.silence.endsAt) }
        return end
    }

    private func forEachHiding(_ labels: [String: String], at now: Instant, _ body: (Entry) -> Void) {
        func look(_ ids: Set<String>) {
            for id in ids { if let entry = entries[id], entry.hides(labels, at: now) { body(entry) } }
        }
        look(others)
        guard !wanting.isEmpty else { return }
        for (name, value) in labels { if let ids = wanting[Wanted(name: name, value: value)] { look(ids) } }
    }

    /// Those that have been over for long.
    func forgettable(at now: Instant) -> [String] {
        entries.values.filter { now - $0.silence.endsAt > Self.keptAfterEnd.inNanoseconds }.map(\.silence.id).sorted()
    }
}
