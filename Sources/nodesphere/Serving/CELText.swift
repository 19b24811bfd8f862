import CEL
import RuleEngine
import Synchronization

/// Gives the names of a document's members to an expression, as slots in their order.
struct DocumentNames: NameResolver {
    let names: [String]
    mutating func resolve(_ path: [PathElement], span: Span) -> NameResolution {
        guard case .name(let first)? = path.first, let slot = names.firstIndex(of: first) else {
            if case .name(let first)? = path.first { return .unknown(nearest: nearestName(to: first, in: names), known: names) }
            return .unknown(nearest: nil, known: names)
        }
        return .slot(slot, consumed: 1)
    }
}

/// How many texts of notifications have not got a value.
final class FailedTexts: Sendable {
    private let counter = Atomic<UInt64>(0)
    var count: UInt64 { counter.load(ordering: .relaxed) }
    fileprivate func add() { counter.add(1, ordering: .relaxed) }
}

/// Texts of `notifications.yaml` filled in: CEL over `NotificationText.names`. What has no value is `<no value>`, as in the texts of rules:
/// a misspelt text is no reason to tell nobody.
struct CELNotificationRendering: NotificationTextRendering {
    /// With the functions of plugins.
    let environment: Environment
    let failures: FailedTexts

    func render(_ text: NotificationText, document: Document) -> String? {
        var result = ""
        for part in text.parts {
            switch part {
            case .literal(let literal): result += literal
            case .expression(let source):
                if let value = value(of: source, document) {
                    result += value
                } else {
                    failures.add()
                    result += "<no value>"
                }
            }
        }
        return result
    }

    private func value(of source: String, _ document: Document) -> String? {
        let strings = InternedStrings()
        var names = DocumentNames(names: NotificationText.names)
        guard let expression = environment.parse(source).expression,
            let program = environment.compile(expression, names: &names, strings: strings).program
        else { return nil }
        return withSlots(NotificationText.values(of: document).map { $0?.celValue }, strings) { slots in
            if case .value(let value) = program.evaluate(slots) { Document(value).plainText } else { nil }
        }
    }
}

/// Calls `body` with slots that hold these values; a nil is a missing name.
func withSlots<Result>(_ values: [Value?], _ strings: InternedStrings, _ body: (UnsafePointer<Slot>) -> Result) -> Result {
    let slots = values.map { $0.map { Slot(retaining: $0, strings: strings) } ?? .missing } + [.missing]
    defer { for slot in slots { slot.release() } }
    // Never empty, so that there is an address.
    return slots.withUnsafeBufferPointer { body($0.baseAddress!) }
}

/// Regular expressions of matchers: RE2 through CEL's `matches`, anchored at both ends.
struct CELRegex: RegexMatching {
    private let program: Program
    private let strings: InternedStrings

    static let compiler: RegexCompiler = { CELRegex($0) }

    init?(_ pattern: String) {
        let environment = Environment(arithmetic: .strict, extensions: .none)
        let strings = InternedStrings()
        var names = DocumentNames(names: ["text"])
        let literal = Document.string("^(?:\(pattern))$").json
        guard let expression = environment.parse("text.matches(\(literal))").expression else { return nil }
        let result = environment.compile(expression, names: &names, strings: strings, expecting: .bool)
        guard let program = result.program, result.diagnostics.isEmpty else { return nil }
        // A bad pattern shows at the first match at the latest.
        let works = withSlots([.string("")], strings) { program.truth($0) != .error }
        guard works else { return nil }
        self.program = program
        self.strings = strings
    }

    func matchesWhole(_ text: String) -> Bool { withSlots([.string(text)], strings) { program.truth($0) == .yes } }
}
