internal import CEL
internal import RuleEngine

/// An expression over the members of a table: names are taken as they come.
struct CELCondition {
    private let program: Program
    private let strings: InternedStrings
    private let names: [String]
    /// Bytes of its text.
    let length: Int

    /// Of the expression's own steps, in one evaluation.
    static let mostSteps = 1_000_000
    /// Of one that every message is held against.
    private static let mostStepsOfCondition = 100_000
    /// Bytes of a text.
    static let longest = 16_384

    private struct AnyNames: NameResolver {
        var names: [String] = []
        mutating func resolve(_ path: [PathElement], span: Span) -> NameResolution {
            guard case .name(let first)? = path.first else { return .unknown(nearest: nil, known: []) }
            if let place = names.firstIndex(of: first) { return .slot(place, consumed: 1) }
            names.append(first)
            return .slot(names.count - 1, consumed: 1)
        }
    }

    struct Mistake: Error {
        var message: String
    }

    init(_ text: String) throws(Mistake) {
        guard text.utf8.count <= Self.longest else {
            throw Mistake(message: "an expression may have at most \(Self.longest) bytes in a script")
        }
        length = text.utf8.count
        let environment = RuleLanguageEnvironment.standard
        let parsed = environment.parse(text)
        guard let expression = parsed.expression else { throw Mistake(message: parsed.diagnostics.first?.message ?? "it is no expression") }
        var resolver = AnyNames()
        let strings = InternedStrings()
        let compiled = environment.compile(expression, names: &resolver, strings: strings)
        guard let program = compiled.program else { throw Mistake(message: compiled.diagnostics.first?.message ?? "it has no meaning") }
        self.program = program
        self.strings = strings
        names = resolver.names
    }

    /// The value, or what went wrong.
    ///
    /// - Parameter steps: how many it may take; those it has taken are subtracted.
    func evaluate(_ members: [LuaValue.Member], steps: inout Int) -> Result<Value, Mistake> {
        let values = names.map { name in members.last { $0.name == name }.flatMap { $0.value.isNone ? nil : $0.value.celValue } }
        let slots = values.map { $0.map { Slot(retaining: $0, strings: strings) } ?? .missing } + [.missing]
        defer { for slot in slots { slot.release() } }
        return slots.withUnsafeBufferPointer { buffer in
            // Never empty, so that there is an address.
            switch program.evaluate(buffer.baseAddress!, steps: &steps) {
            case .value(let value): .success(value)
            case .missing(let name): .failure(Mistake(message: "there is no '\(name)'"))
            case .error(let error): .failure(Mistake(message: error.message))
            }
        }
    }

    func isTrue(_ members: [LuaValue.Member]) -> Bool {
        var steps = Self.mostStepsOfCondition
        return if case .success(.bool(true)) = evaluate(members, steps: &steps) { true } else { false }
    }
}
