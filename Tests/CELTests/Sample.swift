import CEL
import Testing

/// Evaluates one expression over named values.
enum Sample {
    struct Names: NameResolver {
        var slots: [String]

        mutating func resolve(_ path: [PathElement], span: Span) -> NameResolution {
            guard case .name(let name) = path[0], let slot = slots.firstIndex(of: name) else {
                return .unknown(nearest: nil, known: slots)
            }
            return .slot(slot, consumed: 1)
        }
    }

    static func environment(_ arithmetic: Arithmetic) -> Environment {
        var environment = Environment(arithmetic: arithmetic)
        environment.unknownNames = .runtime
        environment.typeChecking = .runtime
        return environment
    }

    /// A value of nil is a slot where nothing is yet.
    static func outcome(
        _ source: String, _ variables: [String: Value?] = [:], _ arithmetic: Arithmetic = .strict
    ) throws -> Program.Outcome {
        let environment = environment(arithmetic)
        let parsed = environment.parse(source)
        let expression = try #require(parsed.expression, "\(source.prefix(200)): \(parsed.diagnostics)")
        let names = variables.keys.sorted()
        var resolver = Names(slots: names)
        let strings = InternedStrings()
        let compiled = environment.compile(expression, names: &resolver, strings: strings)
        let program = try #require(compiled.program, "\(source.prefix(200)): \(compiled.diagnostics)")
        return withSlots(names.map { variables[$0] ?? nil }, strings) { program.evaluate($0) }
    }

    static func value(_ source: String, _ variables: [String: Value?] = [:], _ arithmetic: Arithmetic = .strict) throws -> Value {
        switch try outcome(source, variables, arithmetic) {
        case .value(let value): return value
        case .missing(let name): throw Failure(message: "\(source): missing \(name)")
        case .error(let error): throw Failure(message: "\(source): \(error.message)")
        }
    }

    struct Failure: Error {
        var message: String
    }

    static func withSlots<R>(_ values: [Value?], _ strings: InternedStrings, _ body: (UnsafePointer<Slot>) -> R) -> R {
        var slots = values.map { $0.map { Slot(retaining: $0, strings: strings) } ?? .missing }
        slots.append(.missing)
        defer { for slot in slots { slot.release() } }
        return slots.withUnsafeBufferPointer { body($0.baseAddress!) }
    }
}
